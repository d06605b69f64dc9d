"""The keeper's side of the spawner: what is ordered, and what happens when spawners die or cannot be had."""

import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper import spawner as module
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.spawner import DEATHS_MAX, ORDER, Order, Spawner, built_program
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag, pid_of
from tests.handpacked import CHANNEL, EXACT, Packed, pointer
from tests.spawning import SpawnerAlone
from tests.unit.engine.fakes import null
from tests.waiting import stop, until

GOLDEN = (
    "0000005000000000"  # flags: user and network
    "0004000000000000ffffffffffffffff"  # soft limit 1024, no hard one
    "e093040064000000"  # uid 300000, gid 100
    "010000006b120000"  # pids 1 and 4715
    "02000000"
    "01000000"  # a group
    "02000000"  # namespaces of two: mount, and network
    "0000020000000040000000000000000000000000"
)


@pytest.fixture
def alone() -> Iterator[SpawnerAlone]:
    made = SpawnerAlone()
    yield made
    made.close()


def ending(status: int) -> bytes:
    program = Packed()
    program.end(status)
    return program.encoded()


def waiting() -> bytes:
    """A program that waits for one message and ends with 9; where none can come any more, it fails."""
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(8))), 8, flags=EXACT, wanted=1)
    program.end(9)
    return program.encoded()


def test_an_order_is_encoded_as_it_always_was() -> None:
    """Who changes it changes `struct order` in spawner.c as well, and builds it."""
    order = Order(
        flags=CloneFlag.NEWUSER | CloneFlag.NEWNET,
        limits=(1024, -1),
        image=Fd(70),
        channel=Fd(71),
        pids=(1, 4715),
        owner=(300000, 100),
        cgroup=Fd(72),
        standing=((Fd(73), CloneFlag.NEWNS), (Fd(74), CloneFlag.NEWNET)),
    )
    assert order.encoded().hex() == GOLDEN
    assert order.fds() == [70, 71, 72, 73, 74]


def test_an_order_that_asks_for_little_says_so() -> None:
    order = Order(flags=CloneFlag.NOTHING, limits=(64, 64), image=Fd(70), channel=Fd(71))
    assert ORDER.unpack(order.encoded()) == (0, 64, 64, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert order.fds() == [70, 71]


def test_who_is_cloned_is_our_child_and_says_so_itself(alone: SpawnerAlone) -> None:
    spawned = alone.order(waiting()).began()
    assert os.getpid() == int(Path(f"/proc/{spawned.pid}/stat").read_text().split()[3])
    spawned.hand()
    assert spawned.status() == 9
    assert spawned.hear() is None


def test_the_spawner_is_a_process_apart(alone: SpawnerAlone) -> None:
    """Nothing of ours is in it: memory, environment, descriptors, or a program that could be written to."""
    assert alone.spawner.usable
    of = Path(f"/proc/{alone.spawner.pid}")
    status = dict(line.split(":\t", 1) for line in (of / "status").read_text().splitlines())
    assert status["Name"] == "insula-spawner" and int(status["SigBlk"], 16) | 1 << 8 | 1 << 18 == (1 << 64) - 1
    assert int(status["SigIgn"], 16) == 0
    assert (of / "environ").read_bytes() == b"" and (of / "cmdline").read_bytes() == b"insula-spawner\0"
    fds = {int(number): os.readlink(of / "fd" / number) for number in os.listdir(of / "fd")}
    assert {number for number, name in fds.items() if name != "/dev/null"} == {67}
    assert len(fds) == 68 and fds[67].startswith("socket:")
    mapped = {line.split(maxsplit=5)[5] for line in (of / "maps").read_text().splitlines() if len(line.split()) > 5}
    assert {name for name in mapped if not name.startswith("[")} == {"/memfd:insula-spawner (deleted)"}


def test_what_it_executes_is_written_to_neither_during_its_life_nor_after_it(alone: SpawnerAlone) -> None:
    """The class of CVE-2019-5736."""
    assert alone.spawner.usable
    program = f"/proc/{alone.spawner.pid}/exe"
    with pytest.raises(OSError, match="busy"):
        os.open(program, os.O_RDWR)
    held = os.open(program, os.O_RDONLY)
    spawner = alone.spawner.pid
    os.kill(spawner, signal.SIGKILL)
    os.waitid(os.P_PID, spawner, os.WEXITED)
    writable = os.open(f"/proc/self/fd/{held}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(writable, b"overwritten")
    for fd in (held, writable):
        os.close(fd)


def test_nobody_can_write_to_what_is_executed_not_even_afterwards() -> None:
    fd = module._sealed_file(b"content")
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"other", 0)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    for change in (lambda: os.write(again, b"x"), lambda: os.ftruncate(again, 0), lambda: os.ftruncate(again, 99)):
        with pytest.raises(PermissionError):
            change()
    os.close(again)
    os.close(fd)


def test_orders_after_its_death_go_to_another(alone: SpawnerAlone) -> None:
    first = alone.spawner.pid
    assert alone.spawner.usable
    os.kill(first, signal.SIGKILL)
    until(lambda: Path(f"/proc/{first}/stat").read_text().split()[2] == "Z", "its death")
    spawned = alone.order(ending(3)).began()
    assert spawned.status() == 3
    assert alone.spawner.pid != first


def test_another_is_started_when_it_dies_though_nothing_is_ordered(alone: SpawnerAlone) -> None:
    first = alone.spawner.pid
    os.kill(first, signal.SIGKILL)
    alone.turn_until(lambda: alone.spawner.pid != first, "another")
    assert alone.order(ending(3)).began().status() == 3


def test_the_channel_of_an_order_that_died_with_it_ends(alone: SpawnerAlone) -> None:
    stop(alone.spawner.pid)
    lost = [alone.order(ending(1)) for _ in range(5)]
    os.kill(alone.spawner.pid, signal.SIGKILL)
    first = alone.spawner.pid
    alone.turn_until(lambda: alone.spawner.pid != first, "another")
    assert [each.hear() for each in lost] == [None] * 5
    assert alone.order(ending(3)).began().status() == 3


def test_an_order_that_fails_when_it_was_given_up_costs_it_nothing(alone: SpawnerAlone) -> None:
    first = alone.spawner.pid
    stop(first)
    alone.order(ending(3), pids=(os.getpid(),)).channel.close()  # that number is taken
    os.kill(first, signal.SIGCONT)
    assert alone.order(ending(3)).began().status() == 3
    assert alone.spawner.pid == first


def test_one_that_takes_no_orders_is_replaced_and_one_that_does_is_not(alone: SpawnerAlone) -> None:
    assert alone.order(ending(3)).began().status() == 3
    first = alone.spawner.pid
    alone.spawner.doubt()
    assert alone.order(ending(3)).began().status() == 3
    assert alone.spawner.pid == first
    stop(first)
    lost = alone.order(ending(1))
    alone.spawner.doubt()
    alone.turn_until(lambda: alone.spawner.pid != first, "another")
    assert lost.hear() is None


def test_it_ends_with_the_keeper() -> None:
    ours, theirs = socket.socketpair()
    keeper = os.fork()
    if keeper == 0:
        alone = SpawnerAlone()
        spawned = alone.order(waiting()).began()
        socket.send_fds(theirs, [b"x"], [os.pidfd_open(alone.spawner.pid), spawned.pidfd])
        signal.pause()
    _, (spawner, spawned_pidfd), _, _ = socket.recv_fds(ours, 1, 2)
    assert pid_of(spawner)
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    until(lambda: not alive(spawner), "the spawner's end")
    until(lambda: not alive(spawned_pidfd), "the end of who waits on its channel")
    for fd in (spawner, spawned_pidfd):
        os.close(fd)
    ours.close()
    theirs.close()


def alive(pidfd: int) -> bool:
    pid = pid_of(pidfd)
    try:
        return pid is not None and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "program", [b"", b"#!/nothing/there\n", b"\x7fELF nonsense"], ids=["none", "script", "nonsense"]
)
def test_where_it_cannot_be_executed_it_is_not_usable(program: bytes) -> None:
    alone = SpawnerAlone(program)
    assert not alone.spawner.usable
    with pytest.raises(BrokenPipeError, match="no spawner"):
        alone.order(ending(0))
    alone.close()


def test_where_no_memory_file_may_be_executed_it_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str, flags: int) -> int:
        raise PermissionError(13, "vm.memfd_noexec is 2")

    monkeypatch.setattr(os, "memfd_create", refused)
    loop, device = EventLoop(), null()
    spawner = Spawner(loop, built_program(), device)
    spawner.start()
    assert not spawner.usable
    os.close(device)


def test_no_more_are_started_when_they_die_before_they_are_ready(capfd: pytest.CaptureFixture[str]) -> None:
    alone = SpawnerAlone(b"\x7fELF nonsense")
    assert not alone.spawner.usable
    assert capfd.readouterr().err.count("has ended") == DEATHS_MAX - 1
    alone.close()


def test_more_orders_than_can_wait_are_refused(alone: SpawnerAlone) -> None:
    stop(alone.spawner.pid)
    # Fewer than usual: what all processes of root have on its way counts against the limit of each (unix(7)), and other
    # tests' keepers run beside this one.
    assert alone.spawner._socket is not None
    alone.spawner._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device = null()
    order = Order(flags=CloneFlag.NOTHING, limits=(1024, 1024), image=device, channel=Fd(theirs.fileno()))

    def give_a_million() -> None:
        for _ in range(1_000_000):
            alone.spawner.give(order)

    with pytest.raises(BlockingIOError):
        give_a_million()
    first = alone.spawner.pid
    os.kill(first, signal.SIGKILL)
    alone.turn_until(lambda: alone.spawner.pid != first, "another")
    for each in (ours, theirs):
        each.close()
    os.close(device)
