"""What the kernel keeps for a guest beside its memory has a bound: groups, terminals, tasks, keys, swap."""

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula import Container, Engine, Limits
from insula.engine.policy.socketpolicy import option_refusals
from insula.engine.spec import Bytes, Seccomp
from insula.kernel.cgroups import UNLIMITED, Cgroup, Hierarchies
from tests.inmates import Inmate
from tests.trees import everything_below

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("cgroups", "devices")]

IDLE = ("/bin/sleep", "1000")
MEMORY = 256 << 20
MOST_GROUPS = 2048


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture
def guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(busybox_root, name="objects", init=IDLE, ephemeral=True, engine=engine, memory=MEMORY) as made:
        yield made


def said(guest: Container, script: str) -> str:
    return guest.run(["/bin/sh", "-c", script]).stdout.decode().strip()


@pytest.mark.requires("cgroup2")
def test_a_guest_makes_only_so_many_groups_and_all_go_with_it(guest: Container) -> None:
    script = "cd /sys/fs/cgroup; i=0; while mkdir g$i 2>/dev/null && [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i"
    assert MOST_GROUPS - 10 < int(said(guest, script)) < MOST_GROUPS
    assert said(guest, "echo max > /sys/fs/cgroup/cgroup.max.descendants; mkdir /sys/fs/cgroup/one || echo no") == "no"
    payload = next(each for each in everything_below(Path(Hierarchies.detect().v2 or "")) if each.name == "g1000")
    guest.destroy()
    assert not payload.parent.exists()


def test_a_guest_has_a_bound_for_terminals_and_the_host_keeps_some(guest: Container) -> None:
    assert "max=1024" in next(line for line in said(guest, "cat /proc/mounts").splitlines() if " /dev/pts " in line)


def test_a_guest_that_names_no_number_of_tasks_has_one_all_the_same(guest: Container) -> None:
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert guest.limits().tasks == min(16384, most // 8)


def test_a_guest_has_no_swap_beyond_its_memory_and_both_go_together(guest: Container) -> None:
    assert (guest.limits().memory, guest.limits().memory_and_swap) == (MEMORY, MEMORY)
    for memory in (MEMORY * 2, MEMORY // 2):
        guest.limit(Limits(memory=Bytes(memory)))
        assert (guest.limits().memory, guest.limits().memory_and_swap) == (memory, memory)


def test_a_guest_that_asks_for_swap_has_it(busybox_root: Path, engine: Engine) -> None:
    wanted = Limits(memory=Bytes(MEMORY), memory_and_swap=Bytes(2 * MEMORY), pids=7)
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, limits=wanted) as guest:
        held = guest.limits()
    assert (held.memory, held.memory_and_swap, held.tasks) == (MEMORY, 2 * MEMORY, 7)


FLOOD = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=300)
held, sent = [], 0
for _ in range(200):
    one = socket.create_connection(listener.getsockname())
    other = listener.accept()[0]
    held += [one, other]
    one.setblocking(False)
    try:
        while True:
            sent += one.send(bytes(65536))
    except BlockingIOError:
        pass
print(sent)
"""


@pytest.mark.requires("cgroup1.memory")
def test_what_waits_in_sockets_is_bounded_where_memory_does_not_count_it(
    group: Cgroup, inmate: Callable[..., Inmate]
) -> None:
    group.memory.limit(MEMORY)
    flood = inmate(FLOOD)
    flood.enter(group)
    status, output = flood.result()
    assert status == 0, output
    assert int(output) < MEMORY // 2
    group.memory.limit(UNLIMITED)


OPTIONS = """
import ctypes, socket
kinds = {"ulp": (6, 31, b"tls"), "alg key": (279, 1, b"x" * 16), "rxrpc key": (272, 1, b"x")}
kinds |= {"ring": (263, 5, bytes([0, 16, 0, 0, 1, 0, 0, 0] * 2))}
kinds |= {"no delay": (6, 1, bytes([1, 0, 0, 0])), "long": (0, 64, bytes(100000))}
for name, (level, option, value) in kinds.items():
    try:
        socket.socket().setsockopt(level, option, value)
    except OSError as error:
        print(name, error.errno)
"""


@pytest.mark.requires("cgroup2", "bpf.cgroup_device")
def test_a_group_refuses_options_of_sockets_without_any_filter(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.refuse_socket_options(option_refusals(Seccomp()))
    setter = inmate(OPTIONS)
    setter.enter(group)
    status, output = setter.result()
    assert status == 0, output
    refused = {line.rpartition(" ")[0] for line in output.splitlines() if line.endswith(f" {errno.EPERM}")}
    assert refused == {"ulp", "alg key", "rxrpc key", "ring"}
    assert f"long {errno.EFAULT}" not in output


SOL_PACKET, PACKET_RX_RING = 263, 5


def test_only_a_guest_that_may_makes_rings_of_packet_sockets(busybox_root: Path, engine: Engine) -> None:
    def ring() -> int:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as maker:
            try:
                maker.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("=IIII", 4096, 1, 4096, 1))
            except OSError as error:
                return error.errno or -1
        return 0

    answers = []
    for seccomp in (Seccomp(), Seccomp(packet_rings=True)):
        with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, seccomp=seccomp) as guest:
            answers.append(guest.enter(ring))
    assert answers == [errno.ENOPROTOOPT, 0]
