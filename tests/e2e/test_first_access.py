"""A user's first password and keys: set from the host, without cloud-init and without an agent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, copy_tree, domain_xml, image_of, inside, insula
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


def test_a_password_is_set_in_a_guest_that_runs(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    insula(insulad, "passwd", "-u", "web", guest, stdin="Gr\u00fc\u00dfe: 'x' $1 %s \\n\n")
    kept = shadow(busybox_root)
    assert kept["root"] == "*" and kept["web"].startswith("$6$")
    insulad.virsh("set-user-password", guest, "root", "$6$salt$hash", "--encrypted")
    assert shadow(busybox_root)["root"] == "$6$salt$hash"
    insulad.virsh("set-user-sshkeys", guest, "web", "--reset")
    refused = insula(insulad, "passwd", "-u", "nobody-there", guest, stdin="secret\n", check=False)
    assert refused.returncode == 1 and "the guest has no user 'nobody-there'" in refused.stderr


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


def test_of_a_guest_that_is_off_the_files_are_written(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    insulad.virsh("destroy", guest)
    insula(insulad, "passwd", "-u", "web", guest, stdin="secret\n")
    kept = shadow(busybox_root)
    assert kept["root"] == "*" and kept["web"].startswith("$6$")
    insula(insulad, "authorize", "-u", "web", guest, "-", stdin="\n".join(KEYS) + "\n")
    keys = busybox_root / "srv/web/.ssh/authorized_keys"
    assert keys.read_text().splitlines() == [*KEYS]
    assert (keys.stat().st_uid, keys.stat().st_gid, keys.parent.stat().st_uid) == (33, 34, 33)
    # virsh 9 ends no line.
    assert insulad.virsh("get-user-sshkeys", guest, "web").stdout.replace("\n", "") == "".join(KEYS)
    insulad.virsh("set-user-password", guest, "root", "$6$salt$hash", "--encrypted")
    assert shadow(busybox_root)["root"] == "$6$salt$hash"
    refused = insula(insulad, "passwd", "-u", "nobody-there", guest, stdin="secret\n", check=False)
    assert refused.returncode == 1 and "the guest has no user 'nobody-there'" in refused.stderr
    insulad.virsh("start", guest)
    insulad.virsh("suspend", guest)
    refused = insulad.virsh("set-user-password", guest, "root", "secret", check=False)
    assert refused.returncode != 0 and "is paused: resume it first" in refused.stderr


def _contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(each): (each.lstat().st_mtime_ns, each.read_bytes() if each.is_file() and not each.is_symlink() else b"")
        for each in directory.rglob("*")
    }


def test_a_new_domain_has_a_password_and_keys_and_its_image_has_neither(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    image = image_of(insulad, busybox_root)
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (image / "etc/shadow").write_text("root:*:1::::::\n")
    before = _contents(image)
    (scratch / "password").write_text("secret\n")
    (scratch / "key.pub").write_text(f"{KEYS[0]}\n")
    given = ("--password-file", f"{scratch}/password", "--ssh-key", f"{scratch}/key.pub")
    insula(insulad, "create", "web", *given, "--start", "small")
    insula(insulad, "create", "other", "--start", "small")
    assert inside(insulad, "web", "cat", "/root/.ssh/authorized_keys") == f"{KEYS[0]}\n"
    assert inside(insulad, "web", "stat", "-c", "%u %a", "/root/.ssh/authorized_keys") == "0 600\n"
    assert inside(insulad, "other", "cat", "/etc/shadow") == "root:*:1::::::\n"
    console = Terminal("virsh", "-c", insulad.uri, "console", "web")
    try:
        console.type("\r")
        console.expect("login: ")
        console.type("root\r")
        console.expect("assword: ")
        console.type("secret\r")
        console.expect("# ")
    finally:
        console.close()
    assert _contents(image) == before


def test_a_domain_that_could_not_be_given_its_password_is_not_made(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    image = image_of(insulad, busybox_root)
    (scratch / "outside").mkdir()
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (image / "etc/shadow").unlink(missing_ok=True)
    (image / "etc/shadow").symlink_to(scratch / "outside" / "shadow")
    (image / "root/.ssh").symlink_to(scratch / "outside")
    refused = insula(insulad, "create", "web", "small", "--password-file", "-", stdin="secret\n", check=False)
    assert refused.returncode == 1 and "this is no regular file: shadow" in refused.stderr
    refused = insula(insulad, "create", "web", "small", "--ssh-key", "-", stdin=KEYS[0], check=False)
    assert refused.returncode == 1 and "the keys of 'root'" in refused.stderr
    assert list((scratch / "outside").iterdir()) == []
    assert "web" not in insula(insulad, "ls", "--all").stdout and os.listdir(insulad.layout.clones) == []


@pytest.mark.requires("debian-12-image")
def test_a_password_is_set_in_a_debian_guest_and_lets_in(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    (scratch / "debian").mkdir()
    root = copy_tree(debian_root("12"), scratch / "debian")
    insulad.define(domain_xml("deb", root, init="/bin/sleep").replace("</init>", "</init><initarg>1000</initarg>"))
    insulad.virsh("start", "deb")
    insula(insulad, "passwd", "deb", stdin="secret\n")
    inside(insulad, "deb", "perl", "-e", "exit(crypt('secret', (getpwnam('root'))[1]) ne (getpwnam('root'))[1])")
