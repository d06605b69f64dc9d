"""Tests of insula.kernel.mountedimage, as far as they need no privilege: it mounts in tests/system."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from insula.kernel import mountedimage
from insula.kernel.fds import Fd
from insula.kernel.mountedimage import mounted_image

Options = list[tuple[str, str | int | None]]
HAS_JOURNAL, JOURNAL = 1024 + 0x5C, 1024 + 0xE0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(1 << 17))
    return path


def write(image: Path, place: int, number: int) -> None:
    with image.open("r+b") as file:
        file.seek(place)
        file.write(number.to_bytes(4, "little"))


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> Options:
    """Has the file itself stand for the loop device; gives the options that the kernel would get."""
    given: Options = []

    def device(path: str, **_: object) -> tuple[Fd, str]:
        return Fd(os.open(path, os.O_RDONLY)), "/dev/loop7"

    def make(_: str, options: Options, **__: object) -> Fd:
        given.extend(options)
        return Fd(os.open(os.devnull, os.O_RDONLY))

    monkeypatch.setattr(mountedimage, "loop_device", device)
    monkeypatch.setattr(mountedimage, "make_filesystem", make)
    return given


@pytest.mark.parametrize(
    ("fstype", "options"),
    [
        *((each, [("errors", "remount-ro")]) for each in ("ext2", "ext3", "ext4")),
        ("xfs", [("nouuid", None)]),
        ("squashfs", []),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_an_image_says_decides_nothing_about_the_host(
    image: Path, mounted: Options, fstype: str, options: Options, read_only: bool
) -> None:
    os.close(mounted_image(str(image), fstype=fstype, read_only=read_only))
    assert mounted == [("source", "/dev/loop7"), *options, *([("ro", None)] if read_only else [])]


@pytest.mark.usefixtures("mounted")
def test_a_journal_on_a_device_that_the_image_names_is_not_opened(image: Path) -> None:
    write(image, HAS_JOURNAL, 4)
    with pytest.raises(OSError, match=r"journal is on another device.*tune2fs"):
        mounted_image(str(image), fstype="ext4", read_only=False)
    write(image, JOURNAL, 8)
    os.close(mounted_image(str(image), fstype="ext4", read_only=False))


@pytest.mark.usefixtures("mounted")
def test_no_mount_waits_as_long_as_an_image_says(image: Path) -> None:
    write(image, 1024 + 0x60, 0x102)
    with pytest.raises(OSError, match=r"multiple mount protection.*tune2fs -O \^mmp"):
        mounted_image(str(image), fstype="ext4", read_only=False)


@pytest.mark.usefixtures("mounted")
def test_a_file_system_on_several_devices_takes_none_of_the_hosts(image: Path) -> None:
    write(image, 65536 + 0x88, 2)
    with pytest.raises(OSError, match="lies on 2 devices"):
        mounted_image(str(image), fstype="btrfs", read_only=False)
    write(image, 65536 + 0x88, 1)
    os.close(mounted_image(str(image), fstype="btrfs", read_only=False))


@pytest.mark.parametrize("copy", [0, 4096])
@pytest.mark.usefixtures("mounted")
def test_no_device_of_the_host_is_opened_that_an_f2fs_names(image: Path, copy: int) -> None:
    """In either of its superblocks: the kernel takes the second one where the first is damaged."""
    for each in (0, 4096):
        write(image, each + 1024, 0xF2F52010)
    os.close(mounted_image(str(image), read_only=False))
    write(image, copy + 1024 + 2201, int.from_bytes(b"/dev", "little"))
    with pytest.raises(OSError, match="whose paths it names itself"):
        mounted_image(str(image), read_only=False)


@pytest.mark.parametrize(
    ("fstype", "number", "advice"),
    [
        ("ext4", errno.EROFS, "was not unmounted.* start it once without <readonly/>"),
        ("xfs", errno.EROFS, "was not unmounted"),
        ("btrfs", errno.EIO, "was not unmounted"),
        ("btrfs", errno.EEXIST, "btrfstune -u"),
        ("ext4", errno.EIO, r"^\[Errno 5\] refused$"),
    ],
)
@pytest.mark.usefixtures("mounted")
def test_an_error_that_does_not_tell_what_to_do_is_continued(
    image: Path, monkeypatch: pytest.MonkeyPatch, fstype: str, number: int, advice: str
) -> None:
    def refuse(*_: object, **__: object) -> Fd:
        raise OSError(number, "refused")

    write(image, 65536 + 0x60, 1)
    monkeypatch.setattr(mountedimage, "make_filesystem", refuse)
    before: Sequence[str] = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=advice):
        mounted_image(str(image), fstype=fstype, read_only=True)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_has_no_file_system_at_that_place_is_named(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1080) + b"\x53\xef" + bytes(4096))
    with pytest.raises(OSError, match="no file system known to us") as caught:
        mounted_image(str(image), start=512, read_only=True)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(image))
