"""What virsh asks of an agent in a guest, with none in it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import copy_tree, domain_xml, inside, state, until_booted
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")


def told(insulad: Insulad, *words: str) -> dict[str, str]:
    """Return what `virsh guestinfo` prints, by names."""
    lines = insulad.virsh("guestinfo", *words).stdout.splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


def refused(insulad: Insulad, *words: str) -> str:
    result = insulad.virsh(*words, check=False)
    assert result.returncode != 0, result.stdout
    return result.stderr


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    (busybox_root / "etc/os-release").write_text('ID=mine\nPRETTY_NAME="My own"\n')
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    return "web"


def test_a_guest_without_an_agent_tells_what_it_is(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    until_booted(insulad, guest)
    found = told(insulad, guest)
    assert (found["os.id"], found["os.pretty-name"], found["timezone.offset"]) == ("mine", "My own", "0")
    assert found["os.kernel-release"] == inside(insulad, guest, "uname", "-r").strip()
    assert found["fs.0.mountpoint"] == "/" and int(found["fs.0.total-bytes"]) > int(found["fs.0.used-bytes"]) > 0
    assert found["hostname"] == inside(insulad, guest, "hostname").strip()
    assert found["if.0.name"] == "lo" and found["if.0.addr.0.addr"] == "127.0.0.1"
    assert set(told(insulad, guest, "--os")) == {name for name in found if name.startswith("os.")}
    assert "/" in insulad.virsh("domfsinfo", guest).stdout.split()
    insulad.virsh("suspend", guest)
    assert "is paused: resume it first" in refused(insulad, "guestinfo", guest)


def test_names_that_a_guest_gives_command_no_terminal(insulad: Insulad, guest: str) -> None:
    until_booted(insulad, guest)
    assert insulad.virsh("domhostname", guest).stdout.strip() == inside(insulad, guest, "hostname").strip()
    script = "hostname \"$(printf 'a\\033[6n')\"; ip link set lo down; ip link set lo name \"$(printf 'a\\033[6n')\""
    inside(insulad, guest, "sh", "-c", script)
    assert "no host name" in refused(insulad, "domhostname", guest)
    told_of = insulad.virsh("domifaddr", guest, "--source", "agent").stdout
    assert "a\\u001b[6n" in told_of and "\x1b" not in told_of


def test_a_guest_that_lays_traps_where_it_is_asked_is_told_of_or_does_not_answer(
    insulad: Insulad, guest: str, busybox_root: Path
) -> None:
    inside(insulad, guest, "sh", "-c", "rm /etc/os-release; mkfifo /etc/os-release /run/utmp; mkdir -p /run/systemd")
    inside(insulad, guest, "sh", "-c", "ln -s /dev/zero /etc/localtime; ln -s /proc/1/fd /run/systemd/sessions")
    found = told(insulad, guest)
    assert "os.id" not in found and "timezone.name" not in found and found["user.count"] == "0"


def test_a_guest_whose_names_and_zone_are_made_to_confuse_is_told_of_and_frozen(insulad: Insulad, guest: str) -> None:
    odd = "\"/mnt/$(printf 'a\\r\\033[2Jb\\377')\""
    inside(insulad, guest, "sh", "-c", f"mkdir -p {odd} && mount -o bind /root {odd}")
    block = "TZif2" + r"\0" * 15 + r"\0" * 19 + r"\1\0\0\0\4" + r"\0" * 6 + r"ABC\0"
    inside(insulad, guest, "sh", "-c", rf"printf '{block}{block}\n<A>-24\n' > /etc/localtime")
    found = told(insulad, guest)
    assert found["fs.1.mountpoint"] == r"/mnt/a\u000d\u001b[2Jb\udcff" and "timezone.name" not in found
    assert found["fs.1.mountpoint"] in insulad.virsh("domfsinfo", guest).stdout.split()
    assert "Froze 1 " in insulad.virsh("domfsfreeze", guest, "--mountpoint", found["fs.1.mountpoint"]).stdout
    assert "Thawed 1 " in insulad.virsh("domfsthaw", guest).stdout
    inside(insulad, guest, "sh", "-c", f"umount {odd}; mount -t tmpfs none /")
    assert "no file system that keeps anything" in refused(insulad, "domfsfreeze", guest)
    assert state(insulad, guest) == "running"


def test_a_guest_stands_still_with_everything_on_the_disk_until_it_is_thawed(insulad: Insulad, guest: str) -> None:
    assert "Froze 1 filesystem(s)" in insulad.virsh("domfsfreeze", guest).stdout
    assert state(insulad, guest) == "paused"
    assert "is paused" in refused(insulad, "domfsfreeze", guest)
    insulad.restart()
    assert "Thawed 1 filesystem(s)" in insulad.virsh("domfsthaw", guest).stdout
    assert state(insulad, guest) == "running"
    assert "Thawed 0 filesystem(s)" in insulad.virsh("domfsthaw", guest).stdout
    insulad.virsh("suspend", guest)
    assert "Thawed 0 filesystem(s)" in insulad.virsh("domfsthaw", guest).stdout
    assert state(insulad, guest) == "paused"


def test_no_file_system_there_is_named_and_nothing_stands_still(insulad: Insulad, guest: str) -> None:
    assert "no file system at '/nowhere'" in refused(insulad, "domfsfreeze", guest, "--mountpoint", "/nowhere")
    assert state(insulad, guest) == "running"


def test_file_systems_of_the_host_are_not_trimmed_and_an_image_of_the_guests_own_is(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    image = scratch / "data.img"
    subprocess.run(["mkfs.ext4", "-q", str(image), "32M"], check=True)
    data = (
        f"<filesystem type='file'><driver type='loop' format='raw'/><source file='{image}'/>"
        "<target dir='/data'/></filesystem>"
    )
    insulad.define(domain_xml("web", busybox_root, extra=data))
    insulad.virsh("start", "web")
    inside(insulad, "web", "sh", "-c", "head -c 16000000 /dev/urandom > /data/big; sync")
    full = image.stat().st_blocks
    inside(insulad, "web", "sh", "-c", "rm /data/big; sync")
    insulad.virsh("domfstrim", "web")
    assert image.stat().st_blocks < full - 16_000_000 // 1024
    assert "shares the host's file systems" in refused(insulad, "domfstrim", "web", "--mountpoint", "/")


def test_the_clock_is_the_hosts(insulad: Insulad, guest: str) -> None:
    assert insulad.virsh("domtime", guest).stdout.startswith("Time: ")
    insulad.virsh("domtime", guest, "--sync")
    insulad.virsh("domtime", guest, "--now")
    assert "set that of the host" in refused(insulad, "domtime", guest, "--time", "1000")


@pytest.mark.requires("debian-12-image")
def test_a_debian_guest_tells_its_release_its_zone_and_who_is_logged_in(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    (scratch / "debian").mkdir()
    root = copy_tree(debian_root("12"), scratch / "debian")
    (root / "etc/localtime").unlink(missing_ok=True)
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    insulad.define(domain_xml("deb", root, init="/bin/sleep").replace("</init>", "</init><initarg>1000</initarg>"))
    insulad.virsh("start", "deb")
    session = "USER=ann\\nCLASS=user\\nREALTIME=5000000\\n"
    make = f"mkdir -p /run/systemd/sessions; printf '{session}' > /run/systemd/sessions/1"
    inside(insulad, "deb", "sh", "-c", make)
    found = told(insulad, "deb")
    assert (found["os.id"], found["os.version-id"]) == ("debian", "12")
    assert (found["timezone.name"], found["timezone.offset"]) == ("Asia/Kolkata", "19800")
    assert (found["user.count"], found["user.0.name"]) == ("1", "ann")
