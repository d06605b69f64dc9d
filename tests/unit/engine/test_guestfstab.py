"""Tests of insula.engine.guestfstab."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.engine.guestfstab import MOUNTED_BY_USERS, REMOUNTS, entries, failing_units, unit_of

MACHINE = r"""
# /etc/fstab: static file system information.
UUID=1b6a5c3e-1111-4c1f-9d2f-aaaaaaaaaaaa /               ext4    errors=remount-ro 0       1
UUID=ABCD-1234  /boot/efi       vfat    umask=0077      0       1
UUID=1b6a5c3e-2222-4c1f-9d2f-aaaaaaaaaaaa none            swap    sw              0       0
/dev/mapper/vg-home /home ext4 defaults 0 2
LABEL=data /data xfs defaults 0 2
PARTUUID=1b6a5c3e-01 /part ext4 defaults
/swapfile none swap sw 0 0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
nas:/export /srv/a\040place nfs4 _netdev
//nas/share /mnt/smb cifs guest 0 0
nas:/other /mnt/other nfs noauto 0 0
/srv/disk.img /mnt/loop ext4 loop 0 0
user@nas:/ /mnt/ssh fuse.sshfs defaults 0 0
tmpfs /scratch tmpfs size=10M 0 0
proc /proc proc hidepid=2 0 0
/srv/data /mnt/data none bind 0 0
incomplete /line
"""


def units(text: str, mountable: frozenset[str] | None) -> list[str]:
    return list(failing_units(entries(text), mountable=mountable))


UNPRIVILEGED = [REMOUNTS, r"srv-a\x20place.mount", "mnt-smb.mount", "mnt-loop.mount", "mnt-ssh.mount"]


def test_what_an_unprivileged_guest_would_try_in_vain() -> None:
    assert units(MACHINE, MOUNTED_BY_USERS) == UNPRIVILEGED
    assert units(MACHINE, MOUNTED_BY_USERS | {"fuse"}) == UNPRIVILEGED[:-1]


def test_who_may_mount_nothing_new_may_bind() -> None:
    assert units(MACHINE, frozenset()) == [*UNPRIVILEGED, "scratch.mount"]
    assert units("proc /proc proc hidepid=2 0 0", frozenset()) == [REMOUNTS]
    assert units("proc /proc proc hidepid=2 0 0", MOUNTED_BY_USERS) == []


def test_who_may_mount_anything_has_its_root_all_the_same() -> None:
    assert units(MACHINE, None) == [REMOUNTS]


def test_an_fstab_of_a_container_needs_nothing() -> None:
    assert units("# UNCONFIGURED FSTAB FOR BASE SYSTEM\n", MOUNTED_BY_USERS) == []


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", "-.mount"),
        ("/mnt//nfs/", "mnt-nfs.mount"),
        ("/mnt/a-b", r"mnt-a\x2db.mount"),
        ("/.hidden/.too", r"\x2ehidden-.too.mount"),
        ("/grüße", r"gr\xc3\xbc\xc3\x9fe.mount"),
    ],
)
def test_units_are_named_as_systemd_names_them(path: str, unit: str) -> None:
    assert unit_of(path) == unit


@given(some.text(max_size=200))
def test_whatever_stands_there_is_read_and_names_files(text: str) -> None:
    for unit in units(text, frozenset()):
        assert unit.isascii()
        assert not set(unit) & {"/", "\0"}
        assert len(unit) <= 255


def test_an_endless_fstab_has_an_end() -> None:
    assert len(units("".join(f"nas:/ /mnt/{number} nfs\n" for number in range(10_000)), MOUNTED_BY_USERS)) == 256
