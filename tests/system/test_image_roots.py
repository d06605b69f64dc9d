"""Roots that are file systems in image files: mounted for one guest at a time, kept, and let go."""

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula import Container
from insula.engine.spec import Access, ImageRoot
from insula.engine.steps.host.imagemounts import MountImage
from insula.errors import InsulaError, ResourceBusyError
from insula.kernel.imagelocks import claim_image
from insula.kernel.loopdevices import clear_loops, loop_device, loops_over
from insula.kernel.mountedimage import mounted_image
from insula.kernel.mounts import make_filesystem
from insula.service.statistics import summed
from insula.storage.partitiontable import root_partition
from tests.partitiontables import guid_table
from tests.waiting import until

pytestmark = [pytest.mark.requires("loop", "userns"), pytest.mark.machine("mounts")]

Image = Callable[..., Path]

EFI, LINUX = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0fc63daf-8483-4772-8e79-3d69d8477de4"


@pytest.fixture
def image(busybox_root: Path, scratch: Path) -> Image:
    """Makes an image file with a busybox root, in the second of two partitions if that is wanted."""

    def make(*, partitioned: bool = False) -> Path:
        path = scratch / "root.img"
        subprocess.run(["mkfs.ext4", "-q", "-d", str(busybox_root), str(path), "24M"], check=True)
        if not partitioned:
            return path
        disk = scratch / "disk.img"
        disk.write_bytes(guid_table([(EFI, 2048, 4095), (LINUX, 4096, 53247)], sectors=1 << 16))
        with disk.open("r+b") as file:
            file.seek(2 << 20)
            file.write(path.read_bytes())
        return disk

    return make


def said(guest: Container, script: str) -> str:
    return guest.run(["sh", "-c", script], text=True).stdout


def test_a_root_in_a_file_is_the_guests_and_keeps_what_it_writes(image: Image) -> None:
    path = image()
    for expected in ("", "kept\n"):
        with Container(ImageRoot(source=str(path))) as guest:
            assert said(guest, "stat -c %u:%g /bin/busybox") == "0:0\n"
            assert said(guest, "cat /word 2> /dev/null; true") == expected
            said(guest, "echo kept > /word")
    until(lambda: not loops_over(str(path)), "the end of its loop device")


@pytest.mark.machine("cgroups")
def test_what_is_written_into_an_image_counts_once(image: Image) -> None:
    """On v2 both the loop device's traffic and that of the disk behind it are told of the guest."""
    with Container(ImageRoot(source=str(image()))) as guest:
        said(guest, "dd if=/dev/zero of=/file bs=1M count=8 oflag=direct conv=fsync 2> /dev/null")
        written = summed(guest.stats().devices).write_bytes
    assert 8 << 20 <= written < 12 << 20


def test_a_root_in_a_partition_is_found_by_the_table(image: Image) -> None:
    path = image(partitioned=True)
    found = root_partition(str(path), os.uname().machine, None)
    assert found is not None
    with Container(ImageRoot(source=str(path), start=found.start, size=found.size)) as guest:
        assert said(guest, "cat /etc/hostname") == "busybox\n"
        assert int(said(guest, "df -k / | tail -n 1 | awk '{print $2}'")) < 24 << 10


def test_a_read_only_root_is_read_only(image: Image) -> None:
    path = image()
    before = path.read_bytes()
    with Container(ImageRoot(source=str(path), access=Access.READ_ONLY)) as guest:
        assert said(guest, "touch /word 2> /dev/null || echo refused") == "refused\n"
        with Container(ImageRoot(source=str(path), access=Access.READ_ONLY)) as another:
            assert said(another, "cat /etc/hostname") == "busybox\n"
        with pytest.raises(ResourceBusyError, match="in use by another guest"):
            Container(ImageRoot(source=str(path))).start()
    assert path.read_bytes() == before


def test_an_image_is_one_guests_at_a_time(image: Image) -> None:
    path = image()
    with Container(ImageRoot(source=str(path))) as guest:
        for access in Access:
            with pytest.raises(ResourceBusyError, match="by another guest, a virtual machine or a loop device"):
                Container(ImageRoot(source=str(path), access=access)).start()
        assert said(guest, "echo lives") == "lives\n"


def test_an_image_of_a_virtual_machine_is_not_touched(image: Image) -> None:
    path = image()
    before = path.read_bytes()
    with path.open("r+b") as machine:
        claim_image(machine.fileno(), str(path), read_only=False)
        with pytest.raises(ResourceBusyError, match="a virtual machine"):
            Container(ImageRoot(source=str(path))).start()
    assert path.read_bytes() == before
    with Container(ImageRoot(source=str(path))) as guest:
        assert said(guest, "echo lives") == "lives\n"


@pytest.mark.parametrize(("theirs", "ours"), [((), Access.READ_ONLY), (("--read-only",), Access.READ_WRITE)])
def test_an_image_that_somebody_shows_by_hand_is_not_taken(image: Image, theirs: tuple[str, ...], ours: Access) -> None:
    path = image()
    words = ["losetup", "--find", "--show", *theirs, str(path)]
    device = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        with pytest.raises(ResourceBusyError, match="another loop device shows it, and one of the two writes"):
            Container(ImageRoot(source=str(path), access=ours)).start()
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    with Container(ImageRoot(source=str(path), access=ours)) as guest:
        assert said(guest, "echo lives") == "lives\n"


def test_an_image_that_the_kernel_is_about_to_let_go_of_is_waited_for(scratch: Path) -> None:
    """A loop device that is being cleared shows nothing any more, and has its file for a moment yet."""
    path = scratch / "image"
    path.write_bytes(bytes(1 << 20))
    clearing = os.open(path, os.O_RDWR)
    claim_image(clearing, str(path), read_only=False)
    threading.Timer(0.3, os.close, [clearing]).start()
    device, _ = loop_device(str(path), read_only=False)
    os.close(device)


def test_a_plan_is_made_of_an_image_that_is_in_use(image: Image) -> None:
    path = image()
    with Container(ImageRoot(source=str(path))) as guest:
        (mounted,) = [each for each in guest.plan().meanwhile if isinstance(each, MountImage)]
        assert (mounted.path, mounted.root) == (str(path), True)


@pytest.fixture
def block_device(image: Image) -> Iterator[str]:
    """A block device of the host with a root on it."""
    mark = f"insula-test-{os.getpid()}"
    device, node = loop_device(str(image()), read_only=False, mark=mark)
    os.close(device)
    yield node
    clear_loops(mark)


def test_a_device_that_is_in_use_is_not_taken(block_device: str) -> None:
    with Container(ImageRoot(source=block_device)) as guest:
        assert said(guest, "cat /etc/hostname") == "busybox\n"
        with pytest.raises(OSError, match=r"busy: it, or a part of it, is mounted"):
            loop_device(block_device, read_only=False)
    above, _ = loop_device(block_device, read_only=False)
    os.close(above)


def test_a_whole_device_has_the_locks_of_an_image(block_device: str) -> None:
    with open(block_device, "r+b") as machine:
        with Container(ImageRoot(source=block_device)):
            with pytest.raises(OSError, match="another guest") as caught:
                claim_image(machine.fileno(), block_device, read_only=True)
            assert caught.value.errno == errno.EBUSY
        until(lambda: not loops_over(block_device), "the end of its loop device")
        claim_image(machine.fileno(), block_device, read_only=False)
        with pytest.raises(ResourceBusyError, match="a virtual machine"):
            Container(ImageRoot(source=block_device)).start()


def test_a_device_is_read_by_many_guests_or_by_none_that_another_has(block_device: str, scratch: Path) -> None:
    read_only = ImageRoot(source=block_device, access=Access.READ_ONLY)
    with Container(read_only):
        with Container(read_only) as another:
            assert said(another, "cat /etc/hostname") == "busybox\n"
        with pytest.raises(ResourceBusyError):
            Container(ImageRoot(source=block_device)).start()
    until(lambda: not loops_over(block_device), "the end of its loop devices")
    tree = make_filesystem("ext4", [("source", block_device)])
    try:
        with pytest.raises(ResourceBusyError, match="is mounted or another's"):
            Container(read_only).start()
    finally:
        os.close(tree)


def test_an_image_that_asks_for_a_panic_gets_none(image: Image) -> None:
    path = image()
    subprocess.run(["tune2fs", "-e", "panic", "-E", "mount_opts=errors=panic", str(path)], check=True)
    tree = mounted_image(str(path), read_only=False)
    try:
        ((node, _),) = loops_over(str(path))
        options = Path(f"/proc/fs/ext4/{Path(node).name}/options").read_text().split()
    finally:
        os.close(tree)
    assert {"errors=remount-ro", "errors=panic"}.intersection(options) == {"errors=remount-ro"}


def test_a_read_only_image_that_was_not_unmounted_is_refused_with_what_to_do(image: Image, scratch: Path) -> None:
    path, copy = image(), scratch / "copy.img"
    with Container(ImageRoot(source=str(path))) as guest:
        said(guest, "echo word > /word; sync")
        copy.write_bytes(path.read_bytes())
    with pytest.raises(InsulaError, match=r"was not unmounted.*start it once without <readonly/>"):
        Container(ImageRoot(source=str(copy), access=Access.READ_ONLY)).start()
    with Container(ImageRoot(source=str(copy))) as guest:
        assert said(guest, "cat /word") == "word\n"


def test_an_image_without_a_file_system_is_no_root(scratch: Path) -> None:
    (scratch / "noise").write_bytes(bytes(1 << 20))
    with pytest.raises(InsulaError, match="noise' cannot be the root: no file system known to us is on it"):
        Container(ImageRoot(source=str(scratch / "noise"))).start()
