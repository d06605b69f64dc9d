"""Tests of insula.kernel.beneath."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.kernel import beneath
from insula.kernel.beneath import (
    CONTAINED,
    STRICT,
    Resolve,
    create_beneath,
    make_directories,
    open_beneath,
    open_known,
    place,
    text_of,
    write_beneath,
)
from insula.kernel.fds import Fd
from tests.descriptors import open_fds


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A root with a directory, a file, and links that try to get out."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (root / "absolute").symlink_to("/etc")
    (root / "upwards").symlink_to("../secret")
    (root / "dangling").symlink_to("/nowhere")
    return root


@pytest.fixture
def root(inside: Path) -> Iterator[Fd]:
    fd = Fd(os.open(inside, os.O_PATH | os.O_DIRECTORY))
    yield fd
    os.close(fd)


def read(root: Fd, path: str, resolve: Resolve) -> str:
    with open(open_beneath(root, path, os.O_RDONLY, resolve=resolve)) as file:
        return file.read()


@pytest.mark.parametrize("path", ["etc/file", "/etc/file", "//etc/./file"])
def test_paths_count_from_the_root_with_or_without_a_slash(root: Fd, path: str) -> None:
    assert read(root, path, STRICT) == "inside"


def test_absolute_links_stay_inside_where_links_count(root: Fd) -> None:
    assert read(root, "absolute/file", CONTAINED) == "inside"
    with pytest.raises(OSError, match="symbolic links") as caught:
        read(root, "absolute/file", STRICT)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("path", ["upwards", "../secret", "etc/../../secret"])
def test_no_way_leads_outside(root: Fd, path: str) -> None:
    for resolve in (STRICT, CONTAINED):
        with pytest.raises(OSError, match="openat2") as caught:
            read(root, path, resolve)
        assert caught.value.errno in {errno.ENOENT, errno.EXDEV, errno.ELOOP}


def test_magic_links_are_never_followed() -> None:
    proc = Fd(os.open("/proc/self", os.O_PATH | os.O_DIRECTORY))
    with pytest.raises(OSError, match="symbolic links"):
        open_beneath(proc, "exe", os.O_RDONLY, resolve=Resolve.NO_MAGIC_LINKS)
    os.close(proc)


def test_a_place_is_made_with_its_parents_where_it_is_missing(root: Fd, inside: Path) -> None:
    os.close(place(root, "/new/deep/directory"))
    os.close(place(root, "/new/file", directory=False))
    assert (inside / "new/deep/directory").is_dir()
    assert (inside / "new/file").is_file()


def test_a_place_behind_a_link_is_made_inside(root: Fd, inside: Path) -> None:
    os.close(place(root, "/absolute/new", resolve=CONTAINED))
    assert (inside / "etc/new").is_dir()


@pytest.mark.parametrize(
    ("path", "directory", "expected"), [("etc", False, errno.EISDIR), ("etc/file", True, errno.ENOTDIR)]
)
def test_a_place_of_the_other_kind_is_an_error(root: Fd, path: str, directory: bool, expected: int) -> None:
    with pytest.raises(OSError, match=path) as caught:
        place(root, path, directory=directory)
    assert caught.value.errno == expected


def test_a_link_to_nowhere_is_left_alone(root: Fd, inside: Path) -> None:
    with pytest.raises(FileExistsError):
        place(root, "dangling", resolve=CONTAINED)
    assert (inside / "dangling").is_symlink()
    assert not (inside / "nowhere").exists()


def test_directories_are_made_one_by_one_and_no_fd_is_left(root: Fd, inside: Path) -> None:
    before = open_fds()
    os.close(make_directories(root, "a/./b//c", mode=0o700))
    assert (inside / "a/b/c").stat().st_mode & 0o777 == 0o700
    with pytest.raises(OSError, match="directory"):
        make_directories(root, "etc/file/below")
    assert open_fds() == before


def test_writing_needs_an_existing_file_and_creating_a_missing_one(root: Fd, inside: Path) -> None:
    write_beneath(root, "etc/file", b"changed")
    assert (inside / "etc/file").read_bytes() == b"changed"
    with pytest.raises(FileNotFoundError):
        write_beneath(root, "etc/missing", b"x")
    create_beneath(root, "etc/new", b"new", mode=0o600)
    assert (inside / "etc/new").stat().st_mode & 0o777 == 0o600
    for existing in ("etc/new", "dangling"):
        with pytest.raises(FileExistsError):
            create_beneath(root, existing, b"x")


def test_crossing_into_another_mount_can_be_forbidden() -> None:
    host = Fd(os.open("/", os.O_PATH | os.O_DIRECTORY))
    with pytest.raises(OSError, match="cross-device"):
        open_beneath(host, "proc/self", os.O_RDONLY, resolve=Resolve.NO_OTHER_MOUNTS)
    os.close(host)


@pytest.mark.parametrize("times", [99, 100])
def test_renaming_without_end_ends_a_lookup(root: Fd, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """EAGAIN is what openat2(2) says when something is renamed during a lookup."""
    tried: list[str] = []
    lookup = beneath._openat2

    def renamed(directory: int, path: str, how: beneath._HowToOpen, size: int) -> Fd:
        tried.append(path)
        if len(tried) <= times:
            raise BlockingIOError(errno.EAGAIN, "try again", path)
        return lookup(directory, path, how, size)

    monkeypatch.setattr(beneath, "_openat2", renamed)
    if times < 100:
        assert read(root, "etc/file", CONTAINED) == "inside"
    else:
        with pytest.raises(BlockingIOError):
            read(root, "etc/file", CONTAINED)
    assert len(tried) == 100


def test_what_tells_how_to_open_has_the_kernels_size() -> None:
    # openat2(2): OPEN_HOW_SIZE_VER0.
    assert ctypes.sizeof(beneath._HowToOpen) == 24


def test_what_is_known_is_opened_without_asking_a_file_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/file")
    os.stat(tmp_path / "file")
    os.readlink(tmp_path / "link")
    root = os.open(tmp_path, os.O_PATH)
    try:
        with open_fd(open_known(root, "/file")) as fd:
            assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "file"))
        with pytest.raises((FileNotFoundError, BlockingIOError)):
            open_known(root, "missing")
    finally:
        os.close(root)


@contextlib.contextmanager
def open_fd(fd: int) -> Iterator[int]:
    yield fd
    os.close(fd)


def test_a_file_that_is_only_held_is_read_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"begin\xff and more")
    held = os.open(tmp_path / "file", os.O_PATH)
    try:
        assert text_of(held, 6) == "begin\udcff"
    finally:
        os.close(held)
