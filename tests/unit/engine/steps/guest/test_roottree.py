"""Tests of insula.engine.steps.guest.roottree: mounts are real ones, in namespaces of the test's own."""

import errno
import os
from pathlib import Path
from typing import TypeVar

import pytest

from insula.engine.steps.guest.roottree import (
    ATTRIBUTES,
    AttachFilesystem,
    AttachMount,
    AttachRoot,
    DetachMount,
    KeepMountsPrivate,
    MakeFile,
    MakeFilesystem,
    MountFilesystem,
    MountMemory,
    PivotRoot,
    ShareMounts,
    ShowElsewhere,
    WriteSettings,
)
from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import Propagation, change, detached_copy, make_filesystem
from tests.unit.engine.steps.guest.guesttrees import in_guest, is_mount, mount_options
from tests.unit.engine.steps.guest.performing import Us, guest, perform
from tests.unit.engine.steps.inchild import in_namespaces

T = TypeVar("T")


# The root


def peers(path: Path) -> str:
    """Return the peer group of the mount whose top is at path, empty for a private one."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    tags = next(line[6 : line.index("-")] for line in reversed(lines) if line[4] == str(path))
    return next((tag for tag in tags if tag.startswith("shared:")), "")


def test_all_mounts_are_shared_inside_and_none_with_where_it_came_from(host: Path) -> None:
    def work() -> tuple[str, str, str, str]:
        perform(guest(), KeepMountsPrivate(why="test"))
        us = guest(tree=make_filesystem("tmpfs", []))
        perform(us, AttachRoot(why="test", source="tree", place=str(host / "place")))
        change(AT_FDCWD, str(host / "place"), propagation=Propagation.SHARED)
        origin = peers(host / "place")
        copied = guest(copy=detached_copy(str(host / "place")))
        perform(copied, AttachRoot(why="test", source="copy", place=str(host / "outside")))
        return origin, peers(host / "outside"), *shared(us)

    def shared(us: Us) -> tuple[str, str]:
        perform(us, ShareMounts(why="test"))
        return peers(host / "place"), peers(host / "outside")

    origin, copied, place, outside = in_namespaces(work)
    assert origin.startswith("shared:")
    assert copied == origin, "a copy stays in the group of what it is a copy of"
    assert place.startswith("shared:")
    assert outside.startswith("shared:")
    assert len({origin, place, outside}) == 3


def test_mounts_made_afterwards_are_seen_by_nobody_else() -> None:
    def keep() -> set[str]:
        change(AT_FDCWD, "/", propagation=Propagation.SHARED, recursive=True)
        perform(guest(), KeepMountsPrivate(why="test"))
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return {field for line in lines for field in line.partition(" - ")[0].split()[6:]}

    assert in_namespaces(keep) == set()


def test_the_root_is_shown_where_it_is_told_to_and_is_what_follows_walks_below(host: Path) -> None:
    def look(us: Us, where: Path) -> tuple[bool, bool, str]:
        with open(os.open("etc/file", os.O_RDONLY, dir_fd=us.root)) as file:
            return us.root == us.fds["root"], is_mount(where), file.read()

    assert in_guest(host, look) == (True, True, "inside")
    assert list((host / "place").iterdir()) == []


def test_a_place_for_the_root_must_be_a_directory(host: Path) -> None:
    (host / "file").touch()

    def attach() -> None:
        perform(guest(root=detached_copy(str(host))), AttachRoot(why="test", source="root", place=str(host / "file")))

    with pytest.raises(NotADirectoryError):
        in_namespaces(attach)


def test_after_the_pivot_the_former_root_is_gone(host: Path) -> None:
    def pivot(us: Us, where: Path) -> tuple[list[str], str, bool]:
        perform(us, PivotRoot(why="test"))
        return sorted(os.listdir("/")), os.getcwd(), os.path.exists(host)

    names, working_directory, reachable = in_guest(host, pivot)
    assert names == ["absolute", "dangling", "data", "dev", "etc", "proc", "upwards"]
    assert working_directory == "/"
    assert not reachable


# The kernel's own file systems


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_every_attribute_a_plan_may_name_is_that_of_the_mount(host: Path, name: str) -> None:
    def mount(us: Us, where: Path) -> set[str]:
        perform(us, MountFilesystem(why="test", fstype="tmpfs", target="data", options=[], attributes=[name]))
        return mount_options(where / "data")

    assert name in in_guest(host, mount)


def test_a_file_system_is_made_with_its_options_at_a_directory_made_for_it(host: Path) -> None:
    options: list[list[str | None]] = [["mode", "0700"], ["size", "64k"], ["inode64", None]]

    def mount(us: Us, where: Path) -> tuple[int, int]:
        perform(
            us,
            MountFilesystem(
                why="test", fstype="tmpfs", target="new/deep", options=options, attributes=["nosuid", "nodev"]
            ),
        )
        made = os.statvfs(where / "new/deep")
        return os.stat(where / "new/deep").st_mode & 0o777, made.f_blocks * made.f_frsize

    assert in_guest(host, mount) == (0o700, 64 << 10)


def test_a_file_system_made_first_is_attached_later_by_its_name(host: Path) -> None:
    def make(us: Us, where: Path) -> tuple[bool, bool, list[str]]:
        perform(us, MakeFilesystem(why="test", name="shm", fstype="tmpfs", options=[], attributes=[]))
        os.mkdir("inside", dir_fd=us.fds["shm"])
        before = is_mount(where / "data")
        perform(us, AttachFilesystem(why="test", source="shm", target="data"))
        return before, is_mount(where / "data"), os.listdir(where / "data")

    assert in_guest(host, make) == (False, True, ["inside"])


@pytest.mark.parametrize("target", ["absolute", "upwards", "absolute/below", "dangling"])
def test_a_link_of_the_image_leads_no_file_system_of_the_kernels_anywhere(host: Path, target: str) -> None:
    def mount(us: Us, where: Path) -> None:
        perform(us, MountFilesystem(why="test", fstype="tmpfs", target=target, options=[], attributes=[]))

    with pytest.raises(OSError, match="symbolic links") as caught:
        in_guest(host, mount)
    assert caught.value.errno == errno.ELOOP


def test_an_option_that_does_not_exist_is_told_in_the_file_systems_words(host: Path) -> None:
    def mount(us: Us, where: Path) -> None:
        perform(
            us, MountFilesystem(why="test", fstype="tmpfs", target="data", options=[["nonsense", "1"]], attributes=[])
        )

    with pytest.raises(OSError, match=r"tmpfs: .*nonsense") as caught:
        in_guest(host, mount)
    assert caught.value.errno == errno.EINVAL


# What the spec shows inside


def passed(us: Us, path: Path) -> None:
    us.fds["mount0"] = detached_copy(str(path))


@pytest.mark.parametrize(
    ("target", "seen_at"),
    [("/data", "data"), ("/absolute", "data"), ("/absolute/below", "data/below"), ("/new/deep", "new/deep")],
)
def test_a_tree_is_shown_at_a_path_as_the_guest_sees_it(host: Path, target: str, seen_at: str) -> None:
    (host / "outside/content").touch()

    def show(us: Us, where: Path) -> list[str]:
        passed(us, host / "outside")
        perform(us, AttachMount(why="test", source="mount0", target=target))
        return os.listdir(where / seen_at)

    assert in_guest(host, show) == ["content"]


@pytest.mark.parametrize(("target", "place"), [("/data", "data"), ("/absolute/below", "data/below")])
def test_a_mount_is_taken_off_where_it_was_attached_in_use_or_not(host: Path, target: str, place: str) -> None:
    top = os.stat(host / "outside")

    def take_off(us: Us, where: Path) -> list[bool]:
        passed(us, host / "outside")
        perform(us, AttachMount(why="test", source="mount0", target=target))
        attached = is_mount(where / place)
        detach = DetachMount(why="test", target=target, device=top.st_dev, inode=top.st_ino)
        with (where / place / "in use").open("w"):
            perform(us, detach)
        perform(us, detach)
        return [attached, is_mount(where / place)]

    assert in_guest(host, take_off) == [True, False]


@pytest.mark.parametrize("target", ["/data", "/etc/file", "/etc/file/below", "/nowhere", "/dangling", "/upwards"])
def test_what_is_no_longer_the_mount_that_was_attached_stays_and_is_no_error(host: Path, target: str) -> None:
    top = os.stat(host / "outside")

    def take_off(us: Us, where: Path) -> str:
        perform(us, MountMemory(why="test", target="/data", size=None, mode=0o755, read_only=False))
        before = Path("/proc/self/mountinfo").read_text()
        for inode in (top.st_ino, top.st_ino + (1 << 32)):
            perform(us, DetachMount(why="test", target=target, device=top.st_dev, inode=inode))
        assert Path("/proc/self/mountinfo").read_text() == before
        return before

    assert in_guest(host, take_off)


def test_a_link_upwards_ends_at_the_root_of_the_guest(host: Path) -> None:
    (host / "source").mkdir()
    (host / "root/outside").mkdir()

    def show(us: Us, where: Path) -> tuple[bool, bool]:
        passed(us, host / "source")
        perform(us, AttachMount(why="test", source="mount0", target="/upwards"))
        return is_mount(where / "outside"), is_mount(host / "outside")

    assert in_guest(host, show) == (True, False)


def test_a_file_is_shown_over_a_file_and_never_over_a_directory(host: Path) -> None:
    (host / "config").write_text("the host's")

    def show(us: Us, where: Path) -> str:
        passed(us, host / "config")
        perform(us, AttachMount(why="test", source="mount0", target="/etc/file"))
        with pytest.raises(IsADirectoryError):
            perform(us, AttachMount(why="test", source="mount0", target="/data"))
        return (where / "etc/file").read_text()

    assert in_guest(host, show) == "the host's"
    assert (host / "root/etc/file").read_text() == "inside"


@pytest.mark.parametrize(("target", "name"), [("/proc/sys", "proc"), ("/sys/kernel", "sysfs")])
def test_no_mount_lands_in_the_kernels_own_files_nor_shows_them_elsewhere(host: Path, target: str, name: str) -> None:
    def show(us: Us, where: Path) -> list[str]:
        passed(us, host / "outside")
        # The root of the test's own namespace, where /proc and /sys are real.
        us.root = us.fds["real"] = Fd(os.open("/", os.O_PATH))
        refusals = []
        for step in (
            AttachMount(why="test", source="mount0", target=target),
            MountMemory(why="test", target=target, size=None, mode=0o755, read_only=False),
            ShowElsewhere(why="test", source=target, target=str(where / "data"), read_only=False),
            ShowElsewhere(why="test", source=str(where / "data"), target=target, read_only=False),
        ):
            with pytest.raises(PermissionError, match=f"may not take from nor land in {name}") as caught:
                perform(us, step)
            refusals.append(str(caught.value.filename))
        return refusals

    assert in_guest(host, show) == [target] * 4


@pytest.mark.parametrize("read_only", [True, False])
def test_a_place_inside_is_shown_elsewhere_inside_with_what_is_mounted_below_it(host: Path, read_only: bool) -> None:
    def show(us: Us, where: Path) -> tuple[list[str], set[str]]:
        perform(us, MountMemory(why="test", target="/data/below", size=None, mode=0o755, read_only=False))
        (where / "data/below/in-memory").touch()
        perform(us, ShowElsewhere(why="test", source="/absolute", target="/shown/here", read_only=read_only))
        assert is_mount(where / "shown/here")
        return os.listdir(where / "shown/here/below"), mount_options(where / "shown/here/below")

    names, options = in_guest(host, show)
    assert names == ["in-memory"]
    assert ("ro" in options) == read_only


def test_what_is_shown_elsewhere_cannot_come_from_outside(host: Path) -> None:
    (host / "root/inner").symlink_to("/../outside")

    def show(us: Us, where: Path) -> None:
        perform(us, ShowElsewhere(why="test", source="/inner", target="/data", read_only=False))

    with pytest.raises(FileNotFoundError):
        in_guest(host, show)


@pytest.mark.parametrize("read_only", [True, False])
def test_memory_has_the_size_the_mode_and_the_access_asked_for(host: Path, read_only: bool) -> None:
    def mount(us: Us, where: Path) -> tuple[int, int, bool]:
        perform(us, MountMemory(why="test", target="/absolute", size=1 << 20, mode=0o1777, read_only=read_only))
        made = os.statvfs(where / "data")
        return (
            os.stat(where / "data").st_mode & 0o7777,
            made.f_blocks * made.f_frsize,
            bool(made.f_flag & os.ST_RDONLY),
        )

    assert in_guest(host, mount) == (0o1777, 1 << 20, read_only)


# Files and settings


def test_settings_are_written_below_proc_sys(host: Path) -> None:
    (host / "root/proc/sys/net/a").write_text("0")
    (host / "root/proc/sys/b").write_text("old")

    def write(us: Us, where: Path) -> None:
        perform(us, WriteSettings(why="test", settings=[["net/a", "1"], ["b", "new"]]))

    in_guest(host, write)
    assert (host / "root/proc/sys/net/a").read_text() == "1"
    assert (host / "root/proc/sys/b").read_text() == "new"


@pytest.mark.parametrize(
    ("path", "number", "words"),
    [("missing", errno.ENOENT, "has no such setting"), ("../../../outside/file", errno.EXDEV, "openat2")],
)
def test_a_setting_that_is_none_is_an_error_and_written_nowhere(host: Path, path: str, number: int, words: str) -> None:
    (host / "outside/file").write_text("untouched")

    def write(us: Us, where: Path) -> None:
        perform(us, WriteSettings(why="test", settings=[[path, "1"]]))

    with pytest.raises(OSError, match=words) as caught:
        in_guest(host, write)
    assert (caught.value.errno, caught.value.filename) == (number, f"proc/sys/{path}")
    assert (host / "outside/file").read_text() == "untouched"
    assert not (host / "root/proc/sys/missing").exists()


@pytest.mark.parametrize("before", ["nothing", "file", "link", "dangling"])
def test_a_file_replaces_whatever_stands_there_even_a_link_but_not_its_target(host: Path, before: str) -> None:
    where = host / "root/etc/resolv.conf"
    (host / "root/data/target").write_text("untouched")
    match before:
        case "file":
            where.write_text("the image's")
        case "link":
            where.symlink_to("/data/target")
        case "dangling":
            where.symlink_to("../run/missing")
    step = MakeFile(why="test", path="etc/resolv.conf", content="nameserver ü\n", mode=0o644)
    in_guest(host, lambda us, _: perform(us, step))
    assert not where.is_symlink()
    assert where.read_text() == "nameserver ü\n"
    assert where.stat().st_mode & 0o777 == 0o644
    assert (host / "root/data/target").read_text() == "untouched"


def test_the_directory_of_a_file_is_made_and_may_be_a_link_inside(host: Path) -> None:
    def make(us: Us, where: Path) -> None:
        for path in ("run/host/manager", "absolute/file"):
            perform(us, MakeFile(why="test", path=path, content="x"))

    in_guest(host, make)
    assert (host / "root/run/host/manager").stat().st_mode & 0o777 == 0o444
    assert (host / "root/data/file").read_text() == "x"


def test_a_directory_where_a_file_should_be_is_an_error(host: Path) -> None:
    with pytest.raises(OSError, match="data") as caught:
        in_guest(host, lambda us, _: perform(us, MakeFile(why="test", path="data", content="x")))
    assert caught.value.errno == errno.EISDIR
