"""File systems and devices that virsh takes away from guests: those of their start, and what is in use by force."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, inside, wait_state
from tests.e2e.test_libvirt_python import told
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

SHARED, RAM, BIND, IMAGE = "/srv/shared", "/srv/ram", "/srv/bind", "/srv/image"
PLACES = {"mount": SHARED, "ram": RAM, "bind": BIND, "file": IMAGE}
FUSE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"
USES = {
    "working directory": ("cd {}; exec sleep 9999", "(sleep): its working directory"),
    "open file": ("exec 8>{}/open; exec sleep 9999", "(sleep): {}/open is open"),
    "program": ("cp /bin/busybox {0}/sleep; exec {0}/sleep 9999", "(sleep): its program"),
}


@pytest.fixture
def devices(scratch: Path) -> dict[str, str]:
    """One file system of each kind, by its type, in XML."""
    source, image = scratch / "shared", scratch / "image"
    for each in (source, content := scratch / "content"):
        each.mkdir()
        (each / "word").write_text("from the host\n")
    subprocess.run(["mkfs.ext4", "-q", "-d", str(content), str(image), "8M"], check=True)
    sources = {
        "mount": f"<source dir='{source}'/>",
        "ram": "<source usage='4096' units='KiB'/>",
        "bind": "<source dir='/etc'/>",
        "file": f"<driver type='loop' format='raw'/><source file='{image}'/>",
    }
    return {
        kind: f"<filesystem type='{kind}'>{source}<target dir='{PLACES[kind]}'/></filesystem>"
        for kind, source in sources.items()
    }


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, devices: dict[str, str]) -> str:
    """One that has them all from its start."""
    insulad.define(domain_xml("web", busybox_root, extra="".join(devices.values())))
    insulad.virsh("start", "web")
    return "web"


def change(insulad: Insulad, verb: str, xml: str, scratch: Path, *flags: str, check: bool = True) -> str:
    path = scratch / "device.xml"
    path.write_text(xml)
    result = insulad.virsh(f"{verb}-device", "web", str(path), *(flags or ("--live",)), check=check)
    assert check or result.returncode != 0, result.stdout
    return result.stderr


def mounted(insulad: Insulad) -> list[str]:
    return [each for each in PLACES.values() if each in inside(insulad, "web", "cat", "/proc/self/mountinfo")]


def forced(insulad: Insulad, script: str, *arguments: str) -> object:
    return told(insulad, f"domain = libvirt.open(uri).lookupByName('web')\n{script}", *arguments)


def test_what_a_guest_was_started_with_goes_and_comes_while_it_runs(
    insulad: Insulad, guest: str, devices: dict[str, str], scratch: Path
) -> None:
    listed = {kind: inside(insulad, guest, "ls", place) for kind, place in PLACES.items()}
    for kind, place in PLACES.items():
        change(insulad, "detach", devices[kind], scratch)
        assert mounted(insulad) == [each for each in PLACES.values() if each != place]
        assert place not in insulad.virsh("dumpxml", guest).stdout
        assert place in insulad.virsh("dumpxml", guest, "--inactive").stdout
        change(insulad, "attach", devices[kind], scratch)
        assert mounted(insulad) == list(PLACES.values())
        assert inside(insulad, guest, "ls", place) == listed[kind]
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    for kind, place in PLACES.items():
        change(insulad, "detach", devices[kind], scratch, "--live", "--config")
        assert place not in inside(insulad, guest, "cat", "/proc/self/mountinfo")
        assert place not in insulad.virsh("dumpxml", guest, "--inactive").stdout


def begin(insulad: Insulad, script: str) -> str:
    """Begin a shell's words in the guest, and return their process' id there once they are the last of them."""
    inside(insulad, "web", "sh", "-c", f"(sh -c 'echo $$ > /pid; {script}') </dev/null >/dev/null 2>&1 &")
    until(
        lambda: inside(insulad, "web", "sh", "-c", "cat /proc/$(cat /pid)/cmdline || true").endswith("9999\0"), script
    )
    return inside(insulad, "web", "cat", "/pid").strip()


@pytest.mark.parametrize(
    ("kind", "use"),
    [("mount", "working directory"), ("ram", "program"), ("file", "open file")],
)
def test_what_a_guest_uses_stays_and_who_uses_it_is_told(
    insulad: Insulad, guest: str, devices: dict[str, str], scratch: Path, kind: str, use: str
) -> None:
    script, words = (each.format(PLACES[kind]) for each in USES[use])
    pid = begin(insulad, script)
    before = insulad.virsh("dumpxml", guest).stdout
    refusal = change(insulad, "detach", devices[kind], scratch, check=False)
    assert f"the file system at {PLACES[kind]} of domain 'web' is in use: {pid} {words}" in refusal
    assert insulad.virsh("dumpxml", guest).stdout == before
    assert mounted(insulad) == list(PLACES.values())

    forced(insulad, "domain.detachDeviceFlags(sys.argv[2], 1 | 4)\ntell(0)", devices[kind])
    assert PLACES[kind] not in mounted(insulad)
    assert "9999" in inside(insulad, guest, "cat", f"/proc/{pid}/cmdline"), "who uses it goes on"


def test_a_device_in_use_is_told_too_and_the_event_says_that_it_stays(
    insulad: Insulad, guest: str, scratch: Path
) -> None:
    xml = FUSE.replace("</hostdev>", "<alias name='ua-fuse'/></hostdev>")
    change(insulad, "attach", xml, scratch, "--live", "--config")
    begin(insulad, "exec 8<>/dev/fuse; exec sleep 9999")
    script = """
        conn = libvirt.open(uri)
        domain = conn.lookupByName("web")
        seen = []
        for number, kind in ((15, "removed"), (19, "added"), (22, "failed")):
            conn.domainEventRegisterAny(domain, number, lambda c, d, alias, kind: seen.append((kind, alias)), kind)
        try:
            domain.detachDeviceAlias("ua-fuse", 1)
        except libvirt.libvirtError as error:
            seen.append([error.get_error_code(), "/dev/fuse is open" in str(error)])
        domain.detachDeviceAlias("ua-fuse", 1 | 4)
        until(lambda: len(seen) >= 3)
        domain.attachDeviceFlags(sys.argv[2], 1)
        domain.detachDeviceAlias("ua-fuse", 1 | 2 | 4)
        try:
            domain.detachDeviceAlias("ua-fuse", 3)
        except libvirt.libvirtError as error:
            until(lambda: len(seen) >= 5)
            seen.append([error.get_error_code(), "no device found with alias 'ua-fuse'" in str(error)])
        tell(sorted(seen[:2], key=str) + seen[2:])
    """
    assert told(insulad, script, xml) == [
        ["failed", "ua-fuse"],
        [87, True],
        ["removed", "ua-fuse"],
        ["added", "ua-fuse"],
        ["removed", "ua-fuse"],
        [99, True],
    ]
    assert "ua-fuse" not in insulad.virsh("dumpxml", guest, "--inactive").stdout


def test_a_guests_own_mount_in_one_of_the_hosts_goes_with_it(
    insulad: Insulad, guest: str, devices: dict[str, str], scratch: Path
) -> None:
    inside(insulad, guest, "sh", "-c", f"mkdir {SHARED}/own && mount -t tmpfs none {SHARED}/own")
    pid = begin(insulad, f"cd {SHARED}/own; exec sleep 9999")
    assert f"{pid} (sleep): its working dir" in change(insulad, "detach", devices["mount"], scratch, check=False)
    inside(insulad, guest, "kill", "-9", pid)
    until(lambda: f"/{pid}/" not in inside(insulad, guest, "sh", "-c", "echo /proc/*/"), "its end")
    change(insulad, "detach", devices["mount"], scratch)
    assert SHARED not in inside(insulad, guest, "cat", "/proc/self/mountinfo")


def test_what_the_guest_has_covered_or_taken_off_is_said_so(
    insulad: Insulad, guest: str, devices: dict[str, str], scratch: Path
) -> None:
    inside(insulad, guest, "sh", "-c", f"mount -t tmpfs none {SHARED}; umount {RAM}")
    assert "several mounts are at /srv/shared" in change(insulad, "detach", devices["mount"], scratch, check=False)
    assert "nothing is mounted at /srv/ram" in change(insulad, "detach", devices["ram"], scratch, check=False)
    assert domain_id(insulad, guest) is not None


@pytest.mark.requires("mounts.beneath")
def test_a_directory_of_the_host_becomes_read_only_and_writable_again(
    insulad: Insulad, guest: str, devices: dict[str, str], scratch: Path
) -> None:
    only_read = devices["mount"].replace("<target", "<readonly/><target")
    written = "echo more >> /srv/shared/word"
    change(insulad, "update", only_read, scratch, "--live", "--config")
    inside(insulad, guest, "sh", "-c", f"! ({written}) && ! mount -o remount,bind,rw {SHARED}")
    for flags in ((), ("--inactive",)):
        assert "<readonly/>" in insulad.virsh("dumpxml", guest, *flags).stdout
    change(insulad, "update", devices["mount"], scratch, "--live", "--config")
    inside(insulad, guest, "sh", "-c", written)
    assert (scratch / "shared/word").read_text() == "from the host\nmore\n"
    for kind in ("ram", "file"):
        refusal = change(
            insulad, "update", devices[kind].replace("<target", "<readonly/><target"), scratch, check=False
        )
        assert "only whether a directory of the host's is read-only may change" in refusal
    change(insulad, "detach", devices["mount"], scratch)
    assert SHARED not in mounted(insulad)
