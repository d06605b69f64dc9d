"""The spawner with namespaces and groups: what it clones where, who sees what of it, and who survives whose death."""

import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from insula.engine.keeper.strays import kill_holders
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag, pid_of, unshare
from tests import callnumbers
from tests.guests import namespace_ids
from tests.handpacked import CHANNEL, EXACT, Packed, pointer
from tests.spawning import Spawned, SpawnerAlone, reap, spawned_children
from tests.stepping import Call, SteppedSpawner
from tests.waiting import until

KINDS = ("pid", "mnt", "net", "uts", "ipc")
STANDING = CloneFlag.NEWPID | CloneFlag.NEWNS | CloneFlag.NEWNET | CloneFlag.NEWUTS | CloneFlag.NEWIPC
OWNER = (1_000_000, 1_000_001)
_NS_GET_USERNS, _NS_GET_OWNER_UID = 0xB701, 0xB704
EXECVE, READ, RECVMSG = (callnumbers.NUMBERS[name] for name in ("execve", "read", "recvmsg"))


@pytest.fixture
def alone() -> Iterator[SpawnerAlone]:
    made = SpawnerAlone()
    yield made
    made.close()


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppedSpawner]:
    made = SteppedSpawner(monkeypatch)
    yield made
    made.close()


def waiting(status: int = 9) -> bytes:
    """A program that waits for one message and ends; where none can come any more, it fails."""
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(8))), 8, flags=EXACT, wanted=1)
    program.end(status)
    return program.encoded()


def executing() -> bytes:
    """A program that says that it executes, and executes sleep."""
    program = Packed()
    path, argument = program.put(b"/bin/sleep\0"), program.put(b"1000\0")
    words = program.put(bytes(24))
    program.relocate(words, path)
    program.relocate(words + 8, argument)
    said = program.put(b'{"executing":true}')
    # MSG_NOSIGNAL has only sendto(2), but a broken pipe kills as well as it fails.
    program.call("write", CHANNEL, pointer(said), 18, flags=EXACT, wanted=18)
    program.call("execve", pointer(path), pointer(words), pointer(words + 16))
    return program.encoded()


def guest(alone: SpawnerAlone, flags: CloneFlag = CloneFlag.NOTHING, **more: Any) -> Spawned:
    """Return a process that waits in namespaces of its own."""
    return alone.order(waiting(), STANDING | flags, **more).began()


def test_a_process_begins_in_the_namespaces_that_are_made_for_it(alone: SpawnerAlone) -> None:
    spawned = guest(alone, CloneFlag.NEWUSER)
    own = namespace_ids("self", (*KINDS, "user"))
    assert not set(own.values()) & set(namespace_ids(spawned.pid, (*KINDS, "user")).values())
    assert inner_pid(spawned.pid) == 1
    spawned.hand()
    assert spawned.status() == 9


def inner_pid(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid")).split()[-1])


def test_a_user_namespace_belongs_to_the_owner_and_the_spawner_is_itself_again(alone: SpawnerAlone) -> None:
    before = identity(alone.spawner.pid)
    spawned = guest(alone, CloneFlag.NEWUSER, owner=OWNER)
    namespace = os.open(f"/proc/{spawned.pid}/ns/user", os.O_RDONLY)
    answer = fcntl.ioctl(namespace, _NS_GET_OWNER_UID, struct.pack("I", 0))
    os.close(namespace)
    assert struct.unpack("I", answer)[0] == OWNER[0]
    assert guest(alone).pid  # which was ordered afterwards, so the former order is done
    assert identity(alone.spawner.pid) == before


def identity(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    kept = {name: facts[name] for name in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "SigBlk")}
    return {**kept, "namespaces": repr(namespace_ids(pid, (*KINDS, "user", "pid_for_children")))}


def test_a_process_has_the_pid_that_is_wanted_unless_it_is_taken(alone: SpawnerAlone) -> None:
    wanted = free_pid()
    spawned = guest(alone, CloneFlag.NEWUSER, owner=OWNER, pids=(1, wanted))
    assert spawned.pid == wanted
    refused = alone.order(waiting(), STANDING, pids=(1, wanted))
    assert refused.hear() == {"not_cloned": 17}
    assert refused.hear() is None


def free_pid() -> int:
    """Return a pid that nobody has, and that the kernel comes to last: it gives them out in turn."""
    most, last = int(Path("/proc/sys/kernel/pid_max").read_text()), int(Path("/proc/loadavg").read_text().split()[4])
    turn = (1000 + (last + most // 2 + number) % (most - 1000) for number in range(1000))
    return next(pid for pid in turn if not os.path.exists(f"/proc/{pid}"))


@pytest.mark.requires("cgroup2")
@pytest.mark.parametrize("owner", [None, OWNER])
def test_a_process_begins_in_its_control_group(
    alone: SpawnerAlone, group: Cgroup, owner: tuple[int, int] | None
) -> None:
    fd = group_fd(group)
    spawned = guest(alone, CloneFlag.NEWUSER, cgroup=fd, owner=owner)
    assert group.path in unified(spawned.pid)
    os.close(fd)
    spawned.kill()


def group_fd(group: Cgroup) -> Fd:
    fd = group.into_fd()
    assert fd is not None
    return Fd(fd)


def unified(pid: int | str) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if line.startswith("0::")).removeprefix("0::")


def test_what_is_no_group_and_what_is_no_namespace_is_refused(alone: SpawnerAlone) -> None:
    spawned = guest(alone)
    null = Fd(os.open("/dev/null", os.O_RDONLY))
    refused = alone.order(waiting(), cgroup=null)
    assert refused.hear() == {"not_cloned": 9} and refused.hear() is None
    refused = alone.order(waiting(), standing=((null, STANDING),))
    assert refused.hear() == {"not_cloned": 22} and refused.hear() is None
    os.close(null)
    assert alone.order(waiting(), standing=((Fd(spawned.pidfd), STANDING),)).began().kill() == -9


def test_a_process_of_a_guest_that_has_ended_is_refused(alone: SpawnerAlone) -> None:
    ended = guest(alone)
    ended.kill()
    refused = alone.order(waiting(), standing=((Fd(ended.pidfd), STANDING),))
    assert refused.hear() == {"not_cloned": 3}


def test_who_enters_is_our_child_in_the_guests_namespaces_and_its_helper_is_gone(alone: SpawnerAlone) -> None:
    inside = guest(alone, CloneFlag.NEWUSER)
    entered = alone.order(waiting(), standing=((Fd(inside.pidfd), STANDING),)).began()
    assert namespace_ids(entered.pid, KINDS) == namespace_ids(inside.pid, KINDS)
    assert inner_pid(entered.pid) == 2
    assert int(Path(f"/proc/{entered.pid}/stat").read_text().split()[3]) == os.getpid()
    entered.hand()
    assert entered.status() == 9
    assert namespace_ids(alone.spawner.pid, KINDS) == namespace_ids("self", KINDS)


def test_a_guest_may_share_one_namespace_with_another(alone: SpawnerAlone) -> None:
    first = guest(alone)
    network = Fd(os.open(f"/proc/{first.pid}/ns/net", os.O_RDONLY))
    flags = CloneFlag.NEWPID | CloneFlag.NEWNS | CloneFlag.NEWUSER
    wanted = free_pid()
    standing = ((network, CloneFlag.NEWNET),)
    second = alone.order(waiting(), flags, standing=standing, owner=OWNER, pids=(1, wanted)).began()
    os.close(network)
    assert second.pid == wanted
    assert namespace_ids(second.pid, ["net"]) == namespace_ids(first.pid, ["net"])
    assert namespace_ids(second.pid, ["uts"]) == namespace_ids("self", ["uts"])


@pytest.mark.parametrize(
    ("command", "told"), [(0x01234567, signal.SIGHUP), (0x4321FEDC, signal.SIGINT), (0xCDEF0123, signal.SIGINT)]
)
def test_that_a_guest_rebooted_or_powered_off_is_told_by_its_status(
    alone: SpawnerAlone, command: int, told: signal.Signals
) -> None:
    """reboot(2) in a PID namespace ends its init, whose parent we are, though another process has cloned it."""
    reboot = {"x86_64": 169, "aarch64": 142}[os.uname().machine]
    program = Packed()
    program.call(reboot, 0xFEE1DEAD, 672274793, command, 0)
    spawned = alone.order(program.encoded(), CloneFlag.NEWPID).began()
    assert spawned.status() == -told


def test_it_ends_with_the_keeper_though_its_socket_does_not(alone: SpawnerAlone) -> None:
    """By PR_SET_PDEATHSIG, which an order with an owner would have undone."""
    ours, theirs = socket.socketpair()
    keeper = os.fork()
    if keeper == 0:
        mine = SpawnerAlone()
        mine.order(waiting(), STANDING | CloneFlag.NEWUSER, owner=OWNER).began().kill()
        mine.order(waiting()).began().kill()
        end = mine.spawner._socket
        assert end is not None
        socket.send_fds(theirs, [b"x"], [os.pidfd_open(mine.spawner.pid), end.fileno()])
        signal.pause()
    _, (spawner, held), _, _ = socket.recv_fds(ours, 1, 2)
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    until(lambda: (pid := pid_of(spawner)) is None or zombie(pid), "the spawner's end")
    for fd in (spawner, held):
        os.close(fd)
    ours.close()
    theirs.close()


def zombie(pid: int | None) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    return True


@pytest.mark.requires("memfd-noexec")
@pytest.mark.parametrize(("setting", "usable"), [(0, True), (1, True), (2, False)])
def test_where_the_kernel_executes_no_memory_files_there_is_none(setting: int, usable: bool) -> None:
    """vm.memfd_noexec counts for a PID namespace: 1 asks for a flag that says that execution is meant, 2 refuses."""
    outside = os.fork()
    if outside == 0:
        unshare(CloneFlag.NEWPID)
        inside = os.fork()
        if inside == 0:
            Path("/proc/sys/vm/memfd_noexec").write_text(str(setting))
            os._exit(SpawnerAlone().spawner.usable)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(outside, 0)[1]) == usable


# What can be seen of a process that enters, from its first instant on


def guest_of(stepped: SteppedSpawner, flags: CloneFlag = CloneFlag.NOTHING) -> Spawned:
    """Return a process that waits in namespaces of its own, the spawner being idle."""
    spawned = stepped.alone.order(waiting(), STANDING | flags)
    spawner = stepped.alone.spawner.pid
    idle = reading = False
    while not (idle and reading):
        call = stepped.step_until(lambda call: call.number == (RECVMSG if call.pid == spawner else READ))
        idle, reading = idle or call.pid == spawner, reading or call.pid != spawner
        stepped.go(call)
    return spawned.began()


@pytest.mark.requires("cgroup2")
@pytest.mark.parametrize("flags", [CloneFlag.NOTHING, CloneFlag.NEWUSER], ids=["privileged", "unprivileged"])
def test_a_process_that_enters_has_nothing_of_ours_before_its_first_call(
    stepped: SteppedSpawner, group: Cgroup, flags: CloneFlag
) -> None:
    stepped.idle()
    inside = guest_of(stepped, flags)
    fd = group_fd(group)
    stepped.alone.order(waiting(), standing=((Fd(inside.pidfd), STANDING),), cgroup=fd)
    os.close(fd)
    known = {stepped.alone.spawner.pid, inside.pid}
    call = stepped.step_until(lambda call: call.pid not in known and inner_pid(call.pid) != call.pid)
    of = Path(f"/proc/{call.pid}")
    links = [os.readlink(of / "fd" / number) for number in os.listdir(of / "fd")]
    rest = sorted(link.partition(":")[0] for link in links if link != "/dev/null")
    assert rest == ["/memfd", "socket"]
    assert namespace_ids(call.pid, KINDS) == namespace_ids(inside.pid, KINDS)
    places = [os.stat(f"/proc/{each}/") for each in (f"{inside.pid}/root", f"{call.pid}/root", f"{call.pid}/cwd")]
    assert len({(place.st_dev, place.st_ino) for place in places}) == 1
    assert group.path in unified(call.pid)
    assert (of / "environ").read_bytes() == b""
    mapped = {line.split(maxsplit=5)[5] for line in (of / "maps").read_text().splitlines() if len(line.split()) > 5}
    assert {name for name in mapped if not name.startswith("[")} == {"/memfd:insula-spawner (deleted)"}
    os.kill(call.pid, signal.SIGKILL)
    inside.channel.close()


def test_the_helper_of_who_enters_takes_nothing_along_into_the_guest(stepped: SteppedSpawner) -> None:
    """Before it stands in the guest's namespaces it has let go of the keeper's socket."""
    stepped.idle()
    inside = guest_of(stepped)
    ours = os.readlink(f"/proc/{stepped.alone.spawner.pid}/fd/67")
    stepped.alone.order(waiting(), standing=((Fd(inside.pidfd), STANDING),))
    call = stepped.step_until(lambda call: call.number == callnumbers.NUMBERS["setns"])
    links = [os.readlink(f"/proc/{call.pid}/fd/{number}") for number in os.listdir(f"/proc/{call.pid}/fd")]
    assert ours not in links
    os.kill(call.pid, signal.SIGKILL)
    stepped.go(call)
    inside.channel.close()


@pytest.mark.parametrize("kind", ["begin", "enter"])
def test_one_that_is_stopped_before_its_first_call_is_found_and_killed(stepped: SteppedSpawner, kind: str) -> None:
    stepped.idle()
    inside = guest_of(stepped)
    channel = order_of(kind, stepped.alone, inside)
    known = {stepped.alone.spawner.pid, inside.pid}
    call = stepped.step_until(lambda call: call.pid not in known and inner_pid(call.pid) != call.pid)
    ends = [os.readlink(f"/proc/{call.pid}/fd/{number}") for number in os.listdir(f"/proc/{call.pid}/fd")]
    spawner = [os.readlink(f"/proc/{stepped.alone.spawner.pid}/fd/67")]
    (end,) = {each for each in ends if each.startswith("socket")}.difference(spawner)
    os.kill(call.pid, signal.SIGSTOP)
    stepped.go(call)
    kill_holders(int(end.removeprefix("socket:[").removesuffix("]")))
    until(lambda: zombie(call.pid), "its end")
    server = threading.Thread(target=stepped.run)
    server.start()
    assert channel.hear() is None
    for each in spawned_children():
        os.kill(each, signal.SIGKILL)
    inside.end()
    server.join()


@pytest.mark.requires("cgroup2")
def test_who_is_to_enter_a_frozen_group_is_found_and_killed(alone: SpawnerAlone, group: Cgroup) -> None:
    inside = guest(alone)
    fd = group_fd(group)
    directory = os.readlink(f"/proc/self/fd/{fd}")
    Path(directory, "cgroup.freeze").write_text("1")
    before = set(spawned_children())
    ordered = alone.order(executing(), standing=((Fd(inside.pidfd), STANDING),), cgroup=fd)
    os.close(fd)
    (helper,) = until(lambda: set(spawned_children()) - before, "a helper")
    until(lambda: "frozen 1" in Path(directory, "cgroup.events").read_text(), "its being frozen")
    held = [os.readlink(f"/proc/{helper}/fd/{number}") for number in os.listdir(f"/proc/{helper}/fd")]
    sockets = {each for each in held if each.startswith("socket")}
    for each in sockets - {os.readlink(f"/proc/{alone.spawner.pid}/fd/67")}:
        kill_holders(int(each.removeprefix("socket:[").removesuffix("]")))
    assert ordered.hear() is None
    Path(directory, "cgroup.freeze").write_text("0")
    until(lambda: reap() == 2, "only the spawner and the guest being left")


# Deaths at every instant

ORDERS = ["begin", "enter"]
MEMORY_FILE = "/memfd:insula-spawner (deleted)"


class Victim(Enum):
    """Who dies."""

    SPAWNER = "spawner"
    CALLER = "whoever makes the call: spawner, helper, or who was cloned"
    KEEPER = "keeper"


class Outcome(NamedTuple):
    """What the keeper has heard, and whether anything died."""

    cloned: bool
    executing: bool
    struck: bool


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("victim", Victim)
def test_no_process_is_unknown_or_executes_unheard_whoever_dies_before_whatever_call(
    monkeypatch: pytest.MonkeyPatch, kind: str, victim: Victim
) -> None:
    """Each run lets one call more be made than the run before, until a run has none left to let be made."""
    outcomes: list[Outcome] = []
    while not outcomes or outcomes[-1].struck:
        outcomes.append(run_with_a_death(monkeypatch, kind, victim, len(outcomes)))
    assert len(outcomes) > 15
    assert not outcomes[0].cloned and outcomes[-1].executing
    if victim is Victim.SPAWNER:
        # Once the process is there, the spawner's death is none of its business.
        began = next(index for index, outcome in enumerate(outcomes) if outcome.cloned)
        assert all(outcome.executing for outcome in outcomes[began:])


def run_with_a_death(monkeypatch: pytest.MonkeyPatch, kind: str, victim: Victim, at: int) -> Outcome:
    stepped = SteppedSpawner(monkeypatch)
    alone = stepped.alone
    stepped.idle()
    inside = guest_of(stepped)
    spawned = order_of(kind, alone, inside)
    heard: list[dict[str, Any]] = []
    struck = strike_before(stepped, at, lambda call: heard.extend(strike(victim, call, alone, spawned)))
    server = threading.Thread(target=stepped.run)
    server.start()
    if victim is not Victim.KEEPER or not struck:
        heard.extend(iter(spawned.hear, None))
    if {"executing": True} in heard:
        assert heard[0] == {"cloned": True}
        spawned.kill()
    elif {"cloned": True} in heard:
        spawned.status()
    # What is there now has not been heard of: it ends by itself, and has executed nothing.
    until(lambda: not strangers(alone, inside), "the end of what is not known")
    inside.end()
    # Lists of children may lack some while others end, and the guest's init ends only when all in it are reaped.
    until(lambda: not strangers(alone, inside) and inside.reaped(), "the guest's end")
    with suppress(ProcessLookupError):
        os.kill(alone.spawner.pid, signal.SIGKILL)
    server.join()
    stepped.close()
    return Outcome({"cloned": True} in heard, {"executing": True} in heard, struck)


def order_of(kind: str, alone: SpawnerAlone, inside: Spawned) -> Spawned:
    if kind == "begin":
        return alone.order(executing(), CloneFlag.NEWPID | CloneFlag.NEWUSER, owner=OWNER)
    return alone.order(executing(), standing=((Fd(inside.pidfd), STANDING),))


def strike_before(stepped: SteppedSpawner, at: int, strike: Callable[[Call], None]) -> bool:
    """Let as many calls be made, and strike before the next, which is not made then; return whether there was one."""
    waits, executes = False, False
    while not (waits and executes):
        call = stepped.next()
        assert call is not None
        if not at:
            strike(call)
            stepped.go(call)
            return True
        at -= 1
        waits = waits or (call.pid == stepped.alone.spawner.pid and call.number == RECVMSG)
        executes = executes or call.number == EXECVE
        stepped.go(call)
    return False


def strike(victim: Victim, call: Call, alone: SpawnerAlone, spawned: Spawned) -> list[dict[str, Any]]:
    """Have a death; return what had been said to the keeper, if that is who died."""
    if victim is Victim.KEEPER:
        spawned.channel.shutdown(socket.SHUT_RDWR)  # what is under way is said, or not: what has been is still here
        heard = list(said_until_now(spawned))
        spawned.channel.close()
        alone.spawner.close()
        return heard
    pid = alone.spawner.pid if victim is Victim.SPAWNER else call.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: zombie(pid), "its death")
    return []


def said_until_now(spawned: Spawned) -> Iterator[dict[str, Any]]:
    spawned.channel.settimeout(0)
    with suppress(BlockingIOError):
        while (said := spawned.hear()) is not None:
            yield said


def strangers(alone: SpawnerAlone, inside: Spawned) -> list[str]:
    """Reap the dead among our children, and return the others; none of them may have executed anything."""
    found = []
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if zombie(int(child)):
            os.waitid(os.P_PID, int(child), os.WEXITED)
        elif int(child) not in (alone.spawner.pid, inside.pid):
            found.append(child)
            with suppress(FileNotFoundError):  # it is just ending
                assert os.readlink(f"/proc/{child}/exe") == MEMORY_FILE
    return found
