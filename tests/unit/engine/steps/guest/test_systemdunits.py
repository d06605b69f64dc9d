"""Tests of insula.engine.steps.guest.systemdunits."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from insula.engine.steps.guest.roottree import AttachRoot, KeepMountsPrivate
from insula.engine.steps.guest.systemdunits import MountForUnit, SkipUnits
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.performing import Us, guest, perform
from tests.unit.engine.steps.inchild import in_namespaces

T = TypeVar("T")
WISH = "usr/lib/systemd/system/local-fs.target.wants/tmp.mount"
TMP = MountForUnit(
    why="test",
    unit="tmp.mount",
    wanted_by="local-fs.target",
    fstype="tmpfs",
    target="tmp",
    options=[["size", "1m"]],
    attributes=["nosuid"],
)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The root of a guest whose tmp.mount is switched on."""
    root = tmp_path / "root"
    for name in ("etc/systemd/system", "run", "tmp", "var/tmp"):
        (root / name).mkdir(parents=True)
    (root / WISH).parent.mkdir(parents=True)
    (root / WISH).symlink_to("../tmp.mount")
    (tmp_path / "place").mkdir()
    return tmp_path


def in_guest(host: Path, work: Callable[[Us, Path], T]) -> T:
    def attach_and_work() -> T:
        perform(guest(), KeepMountsPrivate(why="test"))
        us = guest(root=detached_copy(str(host / "root")))
        perform(us, AttachRoot(why="test", source="root", place=str(host / "place")))
        return work(us, host / "place")

    return in_namespaces(attach_and_work)


def mounted(us: Us, root: Path) -> list[str]:
    """Return what is mounted below the root once the step is done."""
    perform(us, TMP)
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [each.removeprefix(f"{root}/") for each in places if each.startswith(f"{root}/")]


def test_what_a_unit_would_mount_is_mounted(host: Path) -> None:
    assert in_guest(host, mounted) == ["tmp"]


def _switched_off(root: Path) -> None:
    (root / WISH).unlink()


def _masked(root: Path) -> None:
    (root / "etc/systemd/system/tmp.mount").symlink_to("/dev/null")


def _a_link(root: Path) -> None:
    (root / "tmp").rmdir()
    (root / "tmp").symlink_to("var/tmp")


def _a_file(root: Path) -> None:
    (root / "tmp").rmdir()
    (root / "tmp").touch()


def _missing(root: Path) -> None:
    (root / "tmp").rmdir()


@pytest.mark.parametrize("change", [_switched_off, _masked, _a_link, _a_file, _missing])
def test_nothing_is_mounted_where_the_guests_systemd_would_not(host: Path, change: Callable[[Path], None]) -> None:
    change(host / "root")
    assert in_guest(host, mounted) == []


def test_units_are_passed_over_by_a_condition(host: Path) -> None:
    def work(us: Us, root: Path) -> list[str]:
        perform(us, SkipUnits(why="test", units=[r"mnt-a\x20b.mount", "other.service"]))
        found = sorted((root / "run/systemd/system").glob("*/*"))
        return [str(each.relative_to(root / "run/systemd/system")) for each in found] + [found[0].read_text()]

    assert in_guest(host, work) == [
        r"mnt-a\x20b.mount.d/00-insula.conf",
        "other.service.d/00-insula.conf",
        "[Unit]\nConditionVirtualization=!container\n",
    ]
