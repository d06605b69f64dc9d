"""Device classes in unprivileged guests: the guest's own group may use a node, and nobody else."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula, wait_state
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

NAME = "vendor.example/null=0"
NULL = f"<insula:device cdi='{NAME}'/>"
OURS = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
AUDIO = 29
"""The host's number, in Debian; the guest has another."""


@pytest.fixture
def root(busybox_root: Path) -> Path:
    """A tree with a user that is in the group, and one that is not."""
    with open(busybox_root / "etc/group", "a") as groups:
        groups.write("audio:x:63:player\n")
    with open(busybox_root / "etc/passwd", "a") as users:
        users.write("player:x:1000:1000::/:/bin/sh\nother:x:1001:1001::/:/bin/sh\n")
    return busybox_root


@pytest.fixture
def described(insulad: Insulad, scratch: Path) -> Path:
    """A node of the host's that takes whatever is written, as a vendor would describe it."""
    node = scratch / "vendor0"
    os.mknod(node, stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.chmod(node, 0o660)
    os.chown(node, 0, AUDIO)
    library = scratch / "libvendor.so"
    library.write_text("of the host\n")
    (scratch / "secret").write_text("of the host's root\n")
    os.chmod(scratch / "secret", 0o600)
    edits = {
        "deviceNodes": [{"path": "/dev/vendor/null0", "hostPath": str(node)}],
        "mounts": [
            {"hostPath": str(library), "containerPath": "/usr/lib/libvendor.so", "options": ["rw", "bind"]},
            {"hostPath": str(scratch / "secret"), "containerPath": "/usr/lib/secret"},
        ],
        "env": ["VENDOR=here"],
    }
    directory = insulad.layout.described_devices
    directory.mkdir(parents=True)
    kind, name = NAME.split("=")
    document = {"cdiVersion": "0.6.0", "kind": kind, "devices": [{"name": name, "containerEdits": edits}]}
    (directory / "vendor.json").write_text(json.dumps(document))
    return directory / "vendor.json"


def writes(insulad: Insulad, user: str, path: str = "/dev/vendor/null0") -> bool:
    words = ("exec", "--user", user, "web", "--", "sh", "-c", f"echo data > {path}")
    return insula(insulad, *words, check=False).returncode == 0


def test_who_is_in_the_guests_group_uses_the_node_and_others_do_not(
    insulad: Insulad, root: Path, described: Path
) -> None:
    insulad.define(domain_xml("web", root, settings=NULL))
    insulad.virsh("start", "web")
    assert inside(insulad, "web", "stat", "-c", "%a %u %g %t:%T", "/dev/vendor/null0").split() == [
        "660",
        "0",
        "63",
        "1:3",
    ]
    assert [writes(insulad, user) for user in ("root", "player", "other")] == [True, True, False]
    assert inside(insulad, "web", "cat", "/usr/lib/libvendor.so") == "of the host\n"
    refused = insula(
        insulad, "exec", "web", "--", "sh", "-c", "cat /usr/lib/secret; echo x > /usr/lib/libvendor.so", check=False
    )
    assert "Permission denied" in refused.stderr and "Read-only file system" in refused.stderr


def test_a_class_comes_and_goes_while_the_guest_runs(
    insulad: Insulad, root: Path, described: Path, scratch: Path
) -> None:
    insulad.define(domain_xml("web", root))
    insulad.virsh("start", "web")
    insula(insulad, "device", "add", "web", "--class", "fuse", "--cdi", NAME)
    assert inside(insulad, "web", "stat", "-c", "%a %u %g", "/dev/fuse").split() == ["666", "0", "0"]
    assert [writes(insulad, user) for user in ("player", "other")] == [True, False]
    assert NAME in insulad.virsh("dumpxml", "web", "--inactive").stdout
    insulad.kill()
    insulad.start()
    wait_state(insulad, "web", "running")
    assert [writes(insulad, user) for user in ("player", "other")] == [True, False]

    insula(insulad, "device", "rm", "web", NAME)
    path = scratch / "device.xml"
    path.write_text(f"<insula:device {OURS} class='fuse'/>")
    insulad.virsh("detach-device", "web", str(path), "--live", "--config")
    assert inside(insulad, "web", "ls", "/dev/vendor") == ""
    assert "vendor" not in inside(insulad, "web", "cat", "/proc/self/mountinfo")
    listed = inside(insulad, "web", "ls", "/dev")
    assert "fuse" not in listed
    assert "insula:device" not in insulad.virsh("dumpxml", "web").stdout


def test_what_the_host_has_not_refuses_the_start_by_name(insulad: Insulad, root: Path, described: Path) -> None:
    insulad.define(domain_xml("web", root, settings=NULL))
    offered = json.loads(insula(insulad, "device", "classes", "--json").stdout)
    by_name = {each["name"]: each for each in offered}
    assert (by_name[NAME]["nodes"], by_name["fuse"]["nodes"]) == (["vendor/null0"], ["fuse"])
    described.write_text("{")
    result = insulad.virsh("start", "web", check=False)
    assert result.returncode != 0 and f"describes the CDI device '{NAME}'" in result.stderr
    assert "vendor.json" in result.stderr
