"""A user's first password and keys: set from the host by the guest's own programs, without cloud-init."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import copy_tree, domain_xml, inside, insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 ann@example.org", 'ssh-rsa AAAAB3NzaC1yc2E= it\'s "bob" $HOME')


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    (busybox_root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv/web:/bin/sh\n")
    (busybox_root / "etc/shadow").write_text("root:*:1::::::\nweb:*:1::::::\n")
    (busybox_root / "srv/web").mkdir(parents=True)
    os.chown(busybox_root / "srv/web", 33, 34)
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def shadow(root: Path) -> dict[str, str]:
    return {line.split(":")[0]: line.split(":")[1] for line in (root / "etc/shadow").read_text().splitlines()}


def test_a_password_is_set_by_the_passwd_of_a_busybox_guest(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    insula(insulad, "passwd", "-u", "web", guest, stdin="Gr\u00fc\u00dfe: 'x' $1 %s \\n\n")
    kept = shadow(busybox_root)
    assert kept["root"] == "*" and kept["web"] != "*"
    refused = insula(insulad, "passwd", "-u", "nobody-there", guest, stdin="secret\n", check=False)
    assert refused.returncode == 1 and "ended with status" in refused.stderr


def test_keys_are_added_once_to_what_a_user_has_and_belong_to_the_user(
    insulad: Insulad, guest: str, busybox_root: Path
) -> None:
    there = "ssh-rsa AAAA there"
    (busybox_root / "srv/web/.ssh").mkdir(mode=0o700)
    (busybox_root / "srv/web/.ssh/authorized_keys").write_text(there)  # without a line end
    for path in ("srv/web/.ssh", "srv/web/.ssh/authorized_keys"):
        os.chown(busybox_root / path, 33, 34)
    for _ in range(2):
        insula(insulad, "authorize", "-u", "web", guest, "-", stdin="\n".join(KEYS) + "\n")
    kept = busybox_root / "srv/web/.ssh/authorized_keys"
    assert kept.read_text().splitlines() == [there, *KEYS]
    insula(insulad, "authorize", guest, "-", stdin=KEYS[0])
    made = busybox_root / "root/.ssh/authorized_keys"
    assert made.read_text() == f"{KEYS[0]}\n"
    assert [made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777] == [0o600, 0o700]


def test_links_of_a_hostile_guest_lead_nowhere_but_into_itself(insulad: Insulad, guest: str, scratch: Path) -> None:
    (scratch / "outside").mkdir()
    inside(insulad, guest, "ln", "-s", f"{scratch}/outside", "/root/.ssh")
    refused = insula(insulad, "authorize", guest, "-", stdin=KEYS[0], check=False)
    assert refused.returncode == 1
    assert list((scratch / "outside").iterdir()) == []


def test_a_guest_that_does_not_run_is_told(insulad: Insulad, guest: str) -> None:
    insulad.virsh("destroy", guest)
    refused = insula(insulad, "passwd", guest, stdin="secret\n", check=False)
    assert refused.returncode != 0 and "not running" in refused.stderr


@pytest.mark.requires("debian-12-image")
def test_a_password_is_set_by_the_chpasswd_of_a_debian_guest(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    (scratch / "debian").mkdir()
    root = copy_tree(debian_root("12"), scratch / "debian")
    insulad.define(domain_xml("deb", root, init="/bin/sleep").replace("</init>", "</init><initarg>1000</initarg>"))
    insulad.virsh("start", "deb")
    insula(insulad, "passwd", "deb", stdin="secret\n")
    assert shadow(root)["root"].startswith("$y$")
