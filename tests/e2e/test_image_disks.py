"""Disks of guests that are image files: at a start and live, released with the guest, whoever dies meanwhile."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula, wait_state
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

MIB = 1 << 20


def image(path: Path, word: str) -> Path:
    path.write_bytes(word.encode().ljust(MIB, b"\0"))
    return path


@pytest.fixture
def first(scratch: Path) -> Path:
    return image(scratch / "first", "one\n")


@pytest.fixture
def second(scratch: Path) -> Path:
    return image(scratch / "second", "two\n")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, first: Path) -> str:
    """One that has a disk from its start."""
    insulad.define(domain_xml("web", busybox_root, extra=disk(first)))
    insulad.virsh("start", "web")
    return "web"


def disk(path: Path, target: str = "vda", more: str = "") -> str:
    return f"<disk type='file' device='disk'><source file='{path}'/><target dev='{target}'/>{more}</disk>"


def change(insulad: Insulad, verb: str, xml: str, path: Path, *flags: str, check: bool = True) -> str:
    document = path.with_name("disk.xml")
    document.write_text(xml)
    result = insulad.virsh(f"{verb}-device", "web", str(document), *(flags or ("--live",)), check=check)
    assert check or result.returncode != 0
    return result.stderr


def read(insulad: Insulad, target: str) -> str:
    return inside(insulad, "web", "head", "-n", "1", f"/dev/{target}").strip()


def shown_by(path: Path) -> list[str]:
    """The loop devices over a file."""
    words = ["losetup", "-l", "-n", "-O", "NAME,BACK-FILE"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if str(path) in line]


def until_let_go(*images: Path) -> None:
    """Wait until no loop device is over images: the kernel detaches one behind whoever closed it last."""
    until(lambda: not [loop for each in images for loop in shown_by(each)], "the images being let go of")


def test_an_image_is_a_disk_of_the_guests_until_it_ends(
    insulad: Insulad, guest: str, first: Path, second: Path
) -> None:
    assert read(insulad, "vda") == "one"
    inside(insulad, guest, "sh", "-c", "echo new > /dev/vda; sync")
    insulad.virsh("attach-disk", guest, str(second), "vdb", "--live")
    listed = inside(insulad, guest, "sh", "-c", "stat -c '%u %g %a' /dev/vda /dev/vdb").splitlines()
    assert (listed, read(insulad, "vdb")) == (["0 0 660"] * 2, "two")
    assert len(shown_by(first)) == len(shown_by(second)) == 1
    table = insulad.virsh("domblklist", guest).stdout.split()
    assert table[-4:] == ["vda", str(first), "vdb", str(second)]
    info = dict(line.split(":") for line in insulad.virsh("domblkinfo", guest, "vda").stdout.strip().splitlines())
    assert int(info["Capacity"]) == int(info["Physical"]) == MIB
    insulad.virsh("domblkstat", guest, "vdb")

    insulad.virsh("detach-disk", guest, "vdb", "--live")
    until_let_go(second)
    assert "vdb" not in inside(insulad, guest, "ls", "/dev") + insulad.virsh("dumpxml", guest).stdout
    insulad.virsh("destroy", guest)
    until_let_go(first)
    assert first.read_bytes()[:4] == b"new\n"


def test_a_machines_disk_that_is_the_root_has_figures_and_stays_as_large_as_it_is(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    image = scratch / "machine.img"
    image.touch()
    os.truncate(image, 64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-d", str(busybox_root), str(image)], check=True)
    disk = f"<disk type='file' device='disk'><source file='{image}'/><target dev='vda'/></disk>"
    insulad.define(
        "<domain type='lxc'><name>machine</name><memory unit='MiB'>256</memory><os><type>hvm</type></os>"
        f"<devices>{disk}<console type='pty'/></devices></domain>"
    )
    insulad.virsh("start", "machine")
    assert "wr_bytes" in insulad.virsh("domblkstat", "machine", "vda").stdout
    told = insulad.virsh("domstats", "machine", "--block").stdout
    assert f"block.0.capacity={64 * MIB}" in told and "block.0.wr.bytes=" in told
    refused = insulad.virsh("blockresize", "machine", "vda", "128M", check=False)
    assert "has its root, which stays as large as it is while it runs" in refused.stderr
    insulad.virsh("destroy", "machine")
    until_let_go(image)


def test_who_has_a_disk_can_neither_let_go_of_its_image_nor_give_it_another(
    insulad: Insulad, guest: str, first: Path
) -> None:
    """Any process that has a loop device open may, if no filter says no: then its number is another's."""
    for words in ("losetup -d /dev/vda", "losetup /dev/vda /etc/passwd", "losetup -c /dev/vda"):
        inside(insulad, guest, "sh", "-c", f"{words} 2>&1 | grep -q 'not permitted'")
    assert read(insulad, "vda") == "one"
    assert len(shown_by(first)) == 1


def test_a_disk_that_is_read_only_is_so(insulad: Insulad, guest: str, second: Path) -> None:
    change(insulad, "attach", disk(second, "vdb", "<readonly/>"), second)
    inside(insulad, guest, "sh", "-c", "! (echo x > /dev/vdb)")
    assert read(insulad, "vdb") == "two"
    change(insulad, "attach", disk(second, "vdc", "<readonly/>"), second)
    assert "in use by another guest" in change(insulad, "attach", disk(second, "vdd"), second, check=False)
    refusal = change(insulad, "attach", disk(second, "vdd", "<driver type='qcow2'/>"), second, check=False)
    assert "is of format 'qcow2'" in refusal
    assert "'/no/such' cannot be used: No such file" in change(
        insulad, "attach", disk(Path("/no/such"), "vdd"), second, check=False
    )
    refusal = insulad.virsh("blockresize", guest, "vdb", "4M", check=False).stderr
    assert "or it is read-only" in refusal
    assert "vdd" not in insulad.virsh("dumpxml", guest).stdout


def test_a_disk_becomes_larger_and_never_smaller(insulad: Insulad, guest: str, first: Path) -> None:
    insulad.virsh("blockresize", guest, "vda", "4M")
    assert inside(insulad, guest, "blockdev", "--getsize64", "/dev/vda").strip() == str(4 * MIB)
    assert first.stat().st_size == 4 * MIB
    refusal = insulad.virsh("blockresize", guest, "vda", "2M", check=False).stderr
    assert "would cut off what is there" in refusal
    insulad.virsh("destroy", guest)
    assert insulad.virsh("blockresize", guest, "vda", "8M", check=False).returncode != 0
    assert first.stat().st_size == 4 * MIB


def test_a_disk_in_use_stays_and_by_force_its_user_keeps_it(insulad: Insulad, guest: str, first: Path) -> None:
    inside(insulad, guest, "sh", "-c", "(sh -c 'exec 8</dev/vda; exec sleep 9999') </dev/null >/dev/null 2>&1 &")
    until(lambda: "in use" in change(insulad, "detach", disk(first), first, check=False), "its use")
    assert "/dev/vda is open" in change(insulad, "detach", disk(first), first, check=False)
    assert read(insulad, "vda") == "one"
    insulad.virsh("destroy", guest)
    until_let_go(first)


def test_an_image_is_let_go_of_though_the_daemon_died_before_the_guest(
    insulad: Insulad, guest: str, first: Path, second: Path
) -> None:
    change(insulad, "attach", disk(second, "vdb"), second)
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    assert (read(insulad, "vda"), read(insulad, "vdb")) == ("one", "two")
    change(insulad, "detach", disk(second, "vdb"), second)
    until_let_go(second)
    change(insulad, "attach", disk(second, "vdb"), second)
    init = int(insulad.virsh("domid", guest).stdout)
    insulad.kill()
    subprocess.run(["kill", "-9", str(init)], check=True)
    insulad.start()
    wait_state(insulad, guest, "shut off")
    until_let_go(first, second)
    insulad.virsh("start", guest)
    assert read(insulad, "vda") == "one"


def test_a_start_that_fails_leaves_no_image_attached(insulad: Insulad, busybox_root: Path, first: Path) -> None:
    insulad.define(domain_xml("web", busybox_root, init="/no/such", extra=disk(first)))
    assert insulad.virsh("start", "web", check=False).returncode != 0
    until_let_go(first)


def test_our_command_line_gives_a_disk_and_takes_it_away(insulad: Insulad, guest: str, second: Path) -> None:
    insula(insulad, "device", "add", guest, "--disk", str(second))
    assert read(insulad, "vdb") == "two"
    assert "vdb" in insulad.virsh("dumpxml", guest, "--inactive").stdout
    insula(insulad, "device", "rm", guest, "/dev/vdb")
    assert "vdb" not in inside(insulad, guest, "ls", "/dev") + insulad.virsh("dumpxml", guest, "--inactive").stdout
    until_let_go(second)


def test_a_guest_that_is_destroyed_while_an_image_is_being_attached_holds_it_no_longer(
    insulad: Insulad, guest: str, second: Path
) -> None:
    """Whoever destroys overtakes, at whatever point of the attaching it comes."""
    for delay in range(8):
        words = ["virsh", "-q", "-c", insulad.uri, "attach-disk", guest, str(second), "vdb", "--live"]
        attaching = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay * 0.01)
        insulad.virsh("destroy", guest)
        attaching.wait(timeout=patience(30))
        until_let_go(second)
        insulad.virsh("start", guest)
