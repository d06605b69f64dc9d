"""Guests that share namespaces: what one makes in them the other finds there."""

import os
from pathlib import Path

import pytest

from insula.engine.spec import Namespace, SharedNamespace
from tests.guests import FIRST_ID, Guests, id_map, read_until, spec


def shared(pid: int, *kinds: Namespace) -> tuple[SharedNamespace, ...]:
    return tuple(SharedNamespace(kind=kind, path=f"/proc/{pid}/ns/{kind.value}") for kind in kinds)


@pytest.mark.parametrize("first", [FIRST_ID, FIRST_ID + 65536], ids=["same ids", "other ids"])
def test_unprivileged_guests_share_message_queues_and_who_enters_finds_them(
    guests: Guests, busybox_root: Path, first: int
) -> None:
    one = guests.launch(spec(busybox_root, "touch /dev/mqueue/ours", "echo made", "sleep 1000"))
    read_until(one.consoles[0], b"made")
    other = guests.launch(
        spec(
            busybox_root,
            "ls /dev/mqueue",
            "sleep 1000",
            name="other",
            idmap=id_map(first),
            shared_namespaces=shared(one.pid, Namespace.IPC),
        )
    )
    assert b"ours" in read_until(other.consoles[0], b"ours")
    assert os.readlink(f"/proc/{other.pid}/ns/ipc") == os.readlink(f"/proc/{one.pid}/ns/ipc")
    said, _ = guests.execute(other, "stat", "-c", "%n %u", "/dev/mqueue/ours")
    assert said == f"/dev/mqueue/ours {0 if first == FIRST_ID else 65534}\n"
    said, _ = guests.execute(other, "grep", "/dev/mqueue", "/proc/mounts")
    assert "nosuid,nodev,noexec" in said


def test_a_shared_host_name_is_the_other_guests(guests: Guests, busybox_root: Path) -> None:
    one = guests.launch(spec(busybox_root, "sleep 1000", hostname="mail"))
    other = guests.launch(
        spec(busybox_root, "sleep 1000", name="other", shared_namespaces=shared(one.pid, Namespace.UTS))
    )
    said, _ = guests.execute(other, "hostname")
    assert said == "mail\n"
