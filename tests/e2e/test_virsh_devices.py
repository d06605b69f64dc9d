"""Devices that virsh attaches to guests that run, and takes away again; what is left when daemons die meanwhile."""

import stat
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, wait_state
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

FUSE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"


@pytest.fixture
def source(scratch: Path) -> Path:
    made = scratch / "shared"
    made.mkdir()
    (made / "word").write_text("from the host\n")
    return made


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    return "web"


def root_of(insulad: Insulad, name: str) -> Path:
    return Path(f"/proc/{domain_id(insulad, name)}/root")


def document(scratch: Path, xml: str) -> str:
    path = scratch / "device.xml"
    path.write_text(xml)
    return str(path)


def filesystem(source: Path, target: str) -> str:
    return f"<filesystem type='mount'><source dir='{source}'/><target dir='{target}'/></filesystem>"


def refused(insulad: Insulad, *words: str) -> str:
    result = insulad.virsh(*words, check=False)
    assert result.returncode != 0, result.stdout
    return result.stderr


def test_a_directory_is_shown_in_a_running_guest_and_taken_off(
    insulad: Insulad, guest: str, scratch: Path, source: Path
) -> None:
    shown = root_of(insulad, guest) / "srv/shared/word"
    device = document(scratch, filesystem(source, "/srv/shared"))
    insulad.virsh("attach-device", guest, device, "--live")
    assert shown.read_text() == "from the host\n"
    assert "/srv/shared" in insulad.virsh("dumpxml", guest).stdout
    assert "/srv/shared" not in insulad.virsh("dumpxml", guest, "--inactive").stdout
    assert "'/srv/shared' is there already" in refused(insulad, "attach-device", guest, device, "--live")

    insulad.virsh("detach-device", guest, device, "--live")
    assert not shown.exists()
    assert "/srv/shared" not in insulad.virsh("dumpxml", guest).stdout
    assert "there is no such device" in refused(insulad, "detach-device", guest, device, "--live")


def test_what_is_attached_for_good_is_there_after_the_next_start_too(
    insulad: Insulad, guest: str, scratch: Path, source: Path
) -> None:
    device = document(scratch, filesystem(source, "/srv/shared"))
    insulad.virsh("attach-device", guest, device, "--live", "--config")
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    assert (root_of(insulad, guest) / "srv/shared/word").exists()
    insulad.virsh("detach-device", guest, device, "--live", "--config")
    assert not (root_of(insulad, guest) / "srv/shared/word").exists()
    assert "/srv/shared" not in insulad.virsh("dumpxml", guest, "--inactive").stdout


def test_a_device_node_comes_and_goes_with_its_owner(insulad: Insulad, guest: str, scratch: Path) -> None:
    node = root_of(insulad, guest) / "dev/fuse"
    device = document(scratch, FUSE)
    insulad.virsh("attach-device", guest, device, "--live")
    status = node.lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_uid == (root_of(insulad, guest) / "dev/null").lstat().st_uid != 0
    insulad.virsh("detach-device", guest, device, "--live")
    assert not node.exists()


def test_what_was_attached_is_known_to_the_next_daemon(
    insulad: Insulad, guest: str, scratch: Path, source: Path
) -> None:
    device = document(scratch, filesystem(source, "/srv/shared"))
    insulad.virsh("attach-device", guest, device, "--live")
    insulad.virsh("attach-device", guest, document(scratch, FUSE), "--live")
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    xml = insulad.virsh("dumpxml", guest).stdout
    assert "/srv/shared" in xml
    assert "/dev/fuse" in xml
    insulad.virsh("detach-device", guest, document(scratch, FUSE), "--live")
    insulad.virsh("detach-device", guest, document(scratch, filesystem(source, "/srv/shared")), "--live")
    assert not (root_of(insulad, guest) / "srv/shared/word").exists()
    assert not (root_of(insulad, guest) / "dev/fuse").exists()


def test_what_cannot_be_attached_is_refused_and_changes_nothing(
    insulad: Insulad, guest: str, scratch: Path, source: Path
) -> None:
    before = insulad.virsh("dumpxml", guest).stdout, insulad.virsh("dumpxml", guest, "--inactive").stdout
    nowhere = document(scratch, filesystem(source / "no/such", "/srv/shared"))
    assert "no/such" in refused(insulad, "attach-device", guest, nowhere, "--live", "--config")
    over = document(scratch, filesystem(source, "/proc/sys"))
    assert "may not take from nor land in proc" in refused(insulad, "attach-device", guest, over, "--live", "--config")
    network = document(scratch, "<interface type='bridge'><source bridge='br0'/></interface>")
    assert "there is no bridge 'br0' on the host" in refused(
        insulad, "attach-device", guest, network, "--live", "--config"
    )
    insulad.virsh("suspend", guest)
    assert "is paused: resume it first" in refused(
        insulad, "attach-device", guest, document(scratch, filesystem(source, "/srv/shared")), "--live"
    )
    insulad.virsh("resume", guest)
    assert (insulad.virsh("dumpxml", guest).stdout, insulad.virsh("dumpxml", guest, "--inactive").stdout) == before
