"""Mounts that are renewed, in a guest in this very process."""

import os
from pathlib import Path

import pytest

from insula.engine.launch.guestviews import mount_of, mounts_at
from insula.engine.steps.guest.renewal import AttachBeneath, DetachBeneath, DetachFormer
from insula.engine.steps.guest.roottree import AttachMount
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.guesttrees import in_guest
from tests.unit.engine.steps.guest.performing import Us, perform

pytestmark = pytest.mark.requires("userns", "mounts.beneath")

PLACES = pytest.mark.parametrize(("name", "target"), [("tree", "/data"), ("tree", "/new/deep")])
"""A file's mount is taken off by its path, as the guest has it: tests/system/test_renewed_mounts.py."""


@pytest.fixture
def host(host: Path) -> Path:
    """What may be shown twice: a file and a directory, each in two versions."""
    for version in ("old", "new"):
        (host / version / "tree").mkdir(parents=True)
        (host / version / "word").write_text(version)
        (host / version / "tree/word").write_text(version)
    return host


def shown(us: Us, host: Path, name: str, target: str) -> tuple[int, int]:
    """Show the old version; return the ids of both mounts."""
    us.fds["old"] = detached_copy(str(host / "old" / name))
    perform(us, AttachMount(why="test", source="old", target=target))
    us.fds["new"] = detached_copy(str(host / "new" / name))
    return mount_of(us.fds["old"]), mount_of(us.fds["new"])


def seen(place: Path) -> str:
    return (place / "word" if place.is_dir() else place).read_text()


@PLACES
def test_the_new_one_is_beneath_until_the_former_one_goes(host: Path, name: str, target: str) -> None:
    def renew(us: Us, where: Path) -> list[object]:
        place = where / target.lstrip("/")
        former, mount = shown(us, host, name, target)
        perform(us, AttachBeneath(why="test", source="new", target=target, mount=former))
        told: list[object] = [seen(place), mounts_at(os.getpid(), str(place)) == [mount, former]]
        for _ in range(2):
            perform(us, DetachFormer(why="test", target=target, mount=former))
            told += [seen(place), mounts_at(os.getpid(), str(place)) == [mount]]
        return told

    assert in_guest(host, renew) == ["old", True, "new", True, "new", True]


@PLACES
@pytest.mark.parametrize("attached", [True, False])
def test_it_is_taken_off_from_beneath_the_former_one_which_stays(
    host: Path, name: str, target: str, attached: bool
) -> None:
    def take_back(us: Us, where: Path) -> list[object]:
        place = where / target.lstrip("/")
        former, mount = shown(us, host, name, target)
        if attached:
            perform(us, AttachBeneath(why="test", source="new", target=target, mount=former))
        for _ in range(2):
            perform(us, DetachBeneath(why="test", target=target, mount=mount, former=former))
        return [seen(place), len(mounts_at(os.getpid(), str(place)))]

    assert in_guest(host, take_back) == ["old", 1]


def test_another_mount_than_the_former_one_is_left_alone(host: Path) -> None:
    def renew(us: Us, where: Path) -> list[object]:
        former, mount = shown(us, host, "tree", "/data")
        before = Path("/proc/self/mountinfo").read_text()
        with pytest.raises(OSError, match="another mount is there by now"):
            perform(us, AttachBeneath(why="test", source="new", target="/data", mount=former + 4096))
        perform(us, DetachBeneath(why="test", target="/data", mount=mount, former=former + 4096))
        perform(us, DetachFormer(why="test", target="/data", mount=former + 4096))
        perform(us, DetachFormer(why="test", target="/nowhere", mount=former))
        return [Path("/proc/self/mountinfo").read_text() == before]

    assert in_guest(host, renew) == [True]


def test_one_that_could_not_be_shown_again_stays_and_that_is_said(host: Path) -> None:
    def take_back(us: Us, where: Path) -> list[object]:
        former, mount = shown(us, host, "tree", "/data")
        perform(us, AttachBeneath(why="test", source="new", target="/data", mount=former))
        (host / "old/tree/word").unlink()
        (host / "old/tree").rmdir()
        with pytest.raises(OSError, match="has lost its name"):
            perform(us, DetachBeneath(why="test", target="/data", mount=mount, former=former))
        return [mounts_at(os.getpid(), str(where / "data")) == [mount, former]]

    assert in_guest(host, take_back) == [True]
