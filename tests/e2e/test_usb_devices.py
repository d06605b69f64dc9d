"""USB devices of the host that guests are given, lose and have again; the bus is of the test's making, all else real.

Hosts without USB have the same kernel calls: a plug is a directory in sysfs, a node, and the kernel's word that some
device came. That word the kernel says again when it is written to a device's file `uevent`.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, insula
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

MOUSE = "<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc077'/></source></hostdev>"
OPTIONAL = MOUSE.replace("<source>", "<source startupPolicy='optional'>")

_PREPARE = """
set -e
mkdir -p $1/pts $1/upper $1/work
mount --bind /dev/pts $1/pts
mount -t overlay dev -o lowerdir=/dev,upperdir=$1/upper,workdir=$1/work /dev
mount --move $1/pts /dev/pts
mount -t tmpfs bus /sys/bus
mkdir -p /dev/bus/usb/001 /sys/bus/usb/devices
"""


@dataclass(frozen=True)
class Bus:
    """A bus of USB with sockets `1-1`, `1-2` and so on."""

    host: TestHost

    def plug(self, port: str, number: int, model: str = "046d:c077") -> None:
        vendor, product = model.split(":")

        def made() -> None:
            directory = Path("/sys/bus/usb/devices") / port
            directory.mkdir()
            facts = {"busnum": "1", "devnum": str(number), "idVendor": vendor, "idProduct": product}
            for name, value in facts.items():
                (directory / name).write_text(f"{value}\n")
            os.mknod(f"/dev/bus/usb/001/{number:03d}", 0o664 | stat.S_IFCHR, os.makedev(10, 229))
            self._said("add")

        self.host.inside(made)

    def pull(self, port: str) -> None:
        def gone() -> None:
            directory = Path("/sys/bus/usb/devices") / port
            number = int((directory / "devnum").read_text())
            for each in directory.iterdir():
                each.unlink()
            directory.rmdir()
            os.unlink(f"/dev/bus/usb/001/{number:03d}")
            self._said("remove")

        self.host.inside(gone)

    @staticmethod
    def _said(action: str) -> None:
        Path("/sys/devices/system/cpu/cpu0/uevent").write_text(action)


@pytest.fixture
def bus(test_host: TestHost, scratch: Path) -> Iterator[Bus]:
    place = scratch / "bus"
    test_host.run("sh", "-c", _PREPARE, "-", str(place))
    yield Bus(test_host)
    test_host.run("sh", "-c", "umount /sys/bus && umount /dev/pts && umount -l /dev")


def shown(insulad: Insulad, name: str) -> set[str]:
    """Return which devices of the bus a guest sees."""
    directory = Path(f"/proc/{domain_id(insulad, name)}/root/dev/bus/usb/001")
    return (
        {each.name for each in directory.iterdir() if stat.S_ISCHR(each.lstat().st_mode)}
        if directory.exists()
        else set()
    )


def opens(insulad: Insulad, name: str, node: str) -> bool:
    """Let a guest open a node; return whether it may. What it sees and may not use, its device policy forbids."""
    command = ("sh", "-c", f": < /dev/bus/usb/001/{node}")
    return insula(insulad, "exec", name, "--", *command, check=False).returncode == 0


def attached(insulad: Insulad, scratch: Path, xml: str, *words: str) -> str:
    path = scratch / "device.xml"
    path.write_text(xml)
    return insulad.virsh(*words, str(path), check=False).stderr.strip()


def test_a_device_given_by_its_model_is_followed_wherever_it_is_plugged_in(
    bus: Bus, insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    bus.plug("1-1", 4)
    xml = domain_xml("web", busybox_root).replace("</devices>", f"{MOUSE}</devices>")
    insulad.define(xml)
    insulad.virsh("start", "web")
    assert shown(insulad, "web") == {"004"}
    assert opens(insulad, "web", "004")
    live = insulad.virsh("dumpxml", "web").stdout
    assert re.search(r"<address [^>]*bus=.1. device=.4. insula:found=.yes.", live), live
    assert "<address" not in insulad.virsh("dumpxml", "web", "--inactive").stdout

    bus.pull("1-1")
    until(lambda: shown(insulad, "web") == set(), "the guest having no device any more")
    assert "device='4'" not in insulad.virsh("dumpxml", "web").stdout
    assert "0xc077" in insulad.virsh("dumpxml", "web").stdout
    bus.plug("1-2", 9)
    until(lambda: shown(insulad, "web") == {"009"}, "the guest having the device again")
    assert opens(insulad, "web", "009")

    insulad.kill()
    bus.pull("1-2")
    bus.plug("1-1", 10)
    insulad.start()
    until(lambda: shown(insulad, "web") == {"010"}, "what happened without insulad being made up for")
    assert attached(insulad, scratch, MOUSE, "detach-device", "web") == ""
    assert shown(insulad, "web") == set()
    bus.pull("1-1")
    bus.plug("1-1", 11)
    assert shown(insulad, "web") == set()


def test_a_device_is_one_guests_and_the_one_that_is_meant(
    bus: Bus, insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    for name in ("web", "db"):
        insulad.define(domain_xml(name, busybox_root))
        insulad.virsh("start", name)
    assert "no USB device 046d:c077" in attached(insulad, scratch, MOUSE, "attach-device", "web")
    bus.plug("1-1", 4)
    assert attached(insulad, scratch, MOUSE, "attach-device", "web") == ""
    assert "in use by domain 'web'" in attached(insulad, scratch, MOUSE, "attach-device", "db")
    bus.plug("1-2", 5)
    bus.plug("1-3", 6)
    refusal = attached(insulad, scratch, MOUSE, "attach-device", "db")
    assert "bus='1' device='5', bus='1' device='6'" in refusal
    placed = "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='6'/></source></hostdev>"
    assert attached(insulad, scratch, placed, "attach-device", "db") == ""
    assert (shown(insulad, "web"), shown(insulad, "db")) == ({"004"}, {"006"})
    bus.pull("1-3")
    until(lambda: shown(insulad, "db") == set(), "the device being gone")
    assert "hostdev" not in insulad.virsh("dumpxml", "db").stdout


def test_a_device_that_may_be_absent_comes_when_it_is_plugged_in(
    bus: Bus, insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("db", busybox_root).replace("</devices>", f"{MOUSE}</devices>"))
    assert "no USB device 046d:c077" in insulad.virsh("start", "db", check=False).stderr
    insulad.define(domain_xml("web", busybox_root).replace("</devices>", f"{OPTIONAL}</devices>"))
    insulad.virsh("start", "web")
    assert shown(insulad, "web") == set()
    bus.plug("1-1", 7)
    until(lambda: shown(insulad, "web") == {"007"}, "the device being there")
    insulad.virsh("reboot", "web")
    until(lambda: shown(insulad, "web") == {"007"}, "the device being there after the reboot")
