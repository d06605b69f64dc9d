"""What is mounted where, by the kernel's own lists: of this very process."""

import os
from pathlib import Path

import pytest

from insula.engine.launch.guestviews import mount_of, mounts_at
from insula.kernel.fds import Fd
from insula.kernel.mounts import attach, make_filesystem
from tests.unit.engine.steps.inchild import in_namespaces

pytestmark = pytest.mark.requires("userns")


def test_the_mounts_at_a_place_are_told_the_top_one_last(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()

    def look() -> list[list[int]]:
        made = []
        found = [mounts_at(os.getpid(), str(place))]
        for _ in range(3):
            mount = make_filesystem("tmpfs", [])
            made.append(mount_of(mount))
            target = os.open(place, os.O_PATH)
            attach(mount, target)
            found.append(mounts_at(os.getpid(), f"{place}/"))
        return [made, *found]

    made, *found = in_namespaces(look)
    assert found == [made[:count] for count in range(4)]


def test_of_who_has_ended_nothing_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        mounts_at(2**22 + 1, "/")


def test_what_is_no_descriptor_is_of_no_mount() -> None:
    with pytest.raises(FileNotFoundError):
        mount_of(Fd(999_999))
