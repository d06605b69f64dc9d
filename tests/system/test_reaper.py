"""How guests and entered processes ended whose keeper died: the reaper above keepers, and what is known without it."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.exitstatus import ExitMeaning, ExitStatus
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.keeper.reaperlink import converse
from insula.engine.keeper.startup import REAPER_SOCKET, connect, private_keeper, spawn_keeper
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Process
from insula.kernel.process import start_time
from tests.guests import Guests, kill_keeper, spec
from tests.waiting import patience, stop, until

ENDS = {
    "exit 3": (ExitMeaning.EXITED, 3),
    "exit 0": (ExitMeaning.EXITED, 0),
    "reboot -f; sleep 1000": (ExitMeaning.REBOOTED, None),
    "poweroff -f; sleep 1000": (ExitMeaning.POWERED_OFF, None),
    "halt -f; sleep 1000": (ExitMeaning.POWERED_OFF, None),
    "exec reboot -f": (ExitMeaning.REBOOTED, None),
    "exec poweroff -f": (ExitMeaning.POWERED_OFF, None),
}
"""How a guest may end → what is known of it, whoever died before. Of the middle ones init is killed by the kernel."""
every_end = pytest.mark.parametrize("end", ENDS)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def reaper_of(guests: Guests) -> int:
    return parent_of(guests.keeper_pid)


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def kill(pid: int) -> None:
    """Kill a process that is somebody's child, and see it gone; ours is reaped."""
    os.kill(pid, signal.SIGKILL)
    await_end(pid)


def await_end(pid: int) -> None:
    """See a process gone, which may be ours to reap."""

    def ended() -> bool:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return gone(pid)

    until(ended, f"the death of {pid}")


def waiting(guests: Guests, root: Path, end: str) -> Running:
    """Launch a guest that ends in that way once it reads a line."""
    return guests.launch(spec(root, "read word", end))


def end(running: Running) -> None:
    os.write(running.consoles[0], b"end\n")


def said(status: ExitStatus) -> tuple[ExitMeaning, int | None]:
    return status.meaning, status.code


@pytest.fixture
def reaper(guests: Guests) -> Iterator[socket.socket]:
    """A channel to the reaper of the keeper."""
    with connect(guests.socket.with_name(REAPER_SOCKET)) as channel:
        yield channel


def test_the_reaper_has_an_empty_world_and_nothing_of_anybodys(guests: Guests) -> None:
    pid = reaper_of(guests)
    assert Path(f"/proc/{pid}/comm").read_text() == "insula-reaper\n"
    mounts = [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    assert sorted(mounts) == ["/", "/proc"]
    assert os.listdir(f"/proc/{pid}/root/") == ["proc"]
    assert os.getsid(pid) not in {os.getsid(0), os.getsid(guests.keeper_pid)}
    files = {os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")}
    assert {Path(file).name for file in files} == {"null", "socket", "anon_inode"}


@every_end
def test_how_a_guest_ends_is_known_after_its_keeper_died(guests: Guests, busybox_root: Path, end: str) -> None:
    running = waiting(guests, busybox_root, end)
    for _ in range(2):
        kill_keeper(guests)
        guests.start_keeper()
        completed(guests.launcher.succession.adopt(running))
    os.write(running.consoles[0], b"end\n")
    assert said(guests.wait_for_end(running)) == ENDS[end]


@every_end
def test_how_a_guest_ended_is_known_though_there_was_no_keeper_and_no_daemon(
    guests: Guests, busybox_root: Path, end: str
) -> None:
    running = waiting(guests, busybox_root, end)
    kill_keeper(guests)
    os.write(running.consoles[0], b"end\n")
    until(lambda: gone(running.pid), "the guest's end")
    running.close()
    for _ in range(2):
        guests.start_keeper()
        again = completed(guests.launcher.succession.recover(running.record))
        assert again is not None and again.status is not None
        assert said(again.status) == ENDS[end]
        kill_keeper(guests)
    guests.start_keeper()
    completed(guests.launcher.teardown.release(running, ExitStatus(status=None)))
    assert completed(guests.launcher.succession.recover(running.record)) is None


@pytest.mark.machine("endings")
@every_end
def test_how_a_guest_ends_is_known_though_reaper_and_keeper_died_together(
    guests: Guests, busybox_root: Path, end: str
) -> None:
    """As long as its new parent has not reaped it: here the test process, which does not."""
    running = waiting(guests, busybox_root, end)
    kill(reaper_of(guests))
    kill_keeper_of_ours(guests)
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    os.write(running.consoles[0], b"end\n")
    status = guests.wait_for_end(running)
    os.waitpid(running.pid, 0)
    assert said(status) == ENDS[end]


@pytest.mark.requires("pidfd.info")
@pytest.mark.parametrize(
    ("end", "known"),
    [
        ("exit 3", (ExitMeaning.EXITED, 3)),
        ("exit 0", (ExitMeaning.UNKNOWN, None)),
        ("exec reboot -f", (ExitMeaning.UNKNOWN, None)),
        ("reboot -f; sleep 1000", (ExitMeaning.UNKNOWN, None)),
    ],
)
def test_what_nobody_has_seen_is_told_as_unknown_never_wrong(
    guests: Guests, busybox_root: Path, end: str, known: tuple[ExitMeaning, int | None]
) -> None:
    """Neither reaper nor keeper were there when it was reaped."""
    running = waiting(guests, busybox_root, end)
    kill(reaper_of(guests))
    kill_keeper_of_ours(guests)
    os.write(running.consoles[0], b"end\n")
    os.waitpid(running.pid, 0)
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    assert said(guests.wait_for_end(running)) == known


def kill_keeper_of_ours(guests: Guests) -> None:
    """Kill a keeper whose reaper died: it has become the test process's own child."""
    kill(guests.keeper_pid)
    guests.disconnect()


def test_the_keeper_goes_on_without_its_reaper(guests: Guests, busybox_root: Path) -> None:
    kill(reaper_of(guests))
    running = waiting(guests, busybox_root, "reboot -f; sleep 1000")
    said_inside, _ = guests.execute(running, "hostname")
    assert said_inside == "guest\n"
    end(running)
    assert guests.wait_for_end(running).meaning is ExitMeaning.REBOOTED
    guests.destroy(running)
    # The one that follows has a reaper again.
    kill_keeper_of_ours(guests)
    guests.start_keeper()
    assert Path(f"/proc/{reaper_of(guests)}/comm").read_text() == "insula-reaper\n"


def test_a_reaper_that_does_not_answer_hinders_no_keeper(guests: Guests, busybox_root: Path) -> None:
    pid = reaper_of(guests)
    running = waiting(guests, busybox_root, "exit 3")
    orphan = guests.keeper_pid
    stop(pid)
    os.kill(orphan, signal.SIGKILL)
    until(lambda: state_of(orphan) == "Z", "the keeper's death")
    guests.disconnect()
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    end(running)
    assert guests.wait_for_end(running).code == 3
    guests.destroy(running)
    kill(pid)
    for each in (orphan, running.pid):
        os.waitpid(each, 0)
    kill_keeper_of_ours(guests)
    guests.start_keeper()


def test_the_reaper_serves_several_keepers_and_ends_with_the_last(guests: Guests, scratch: Path) -> None:
    pid = reaper_of(guests)
    other = scratch / "other" / "keeper.sock"
    other.parent.mkdir()
    os.link(guests.socket.with_name(REAPER_SOCKET), other.with_name(REAPER_SOCKET))
    spawn_keeper(other)
    with connect(other):
        children = Path(f"/proc/{pid}/task/{pid}/children")
        until(lambda: len(children.read_text().split()) == 2, "both keepers being its children")
    guests.ask(Verb.QUIT)
    until(lambda: gone(guests.keeper_pid), "the first keeper's end")
    assert not gone(pid)
    until(lambda: gone(pid) or _reaped(pid), "the reaper's end after the second, which nobody needs", 30)
    guests.disconnect()
    guests.start_keeper()


def _reaped(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


@pytest.mark.machine("endings")
def test_how_an_entered_process_ends_is_known_after_its_keeper_died(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    process = Process(argv=("/bin/sh", "-c", "read word; exit 7"))
    executions = [completed(guests.launcher.entrance.execute(running, process, terminal=(24, 80))) for _ in range(2)]
    births = [start_time(each.pid) for each in executions]
    kill_keeper(guests)
    early, late = executions
    assert early.master is not None and late.master is not None
    os.write(early.master, b"\n")
    until(lambda: gone(early.pid), "one's end while there is no keeper")
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    for executed, born in zip(executions, births, strict=True):
        completed(guests.launcher.succession.adopt_execution(executed, born))
    os.write(late.master, b"\n")
    for executed in executions:
        assert guests.wait_for_execution(executed.id).code == 7
        os.close(executed.pidfd)
        assert executed.master is not None
        os.close(executed.master)


def test_an_entered_process_whose_end_nobody_asks_for_does_not_hold_its_guests_end(
    guests: Guests, busybox_root: Path
) -> None:
    """The kernel lets no init go before every process of its namespace is reaped, by whomever."""
    running = guests.launch(spec(busybox_root, "read word; exit 5"))
    process = Process(argv=("/bin/sleep", "1000"))
    executed = completed(guests.launcher.entrance.execute(running, process, terminal=(24, 80)))
    kill_keeper(guests)
    end(running)
    until(lambda: gone(running.pid), "the guest's end")
    guests.start_keeper()
    again = completed(guests.launcher.succession.recover(running.record))
    assert again is not None and again.status is not None and again.status.code == 5
    os.close(executed.pidfd)
    assert executed.master is not None
    os.close(executed.master)


def test_the_reaper_remembers_until_it_is_told_to_forget(
    guests: Guests, busybox_root: Path, reaper: socket.socket
) -> None:
    running = waiting(guests, busybox_root, "exit 3")
    born = start_time(running.pid)
    kill_keeper(guests)
    end(running)
    until(lambda: gone(running.pid), "the guest's end")
    assert converse(reaper, "status", running.pid, born) == [str(3 << 8)]
    assert converse(reaper, "status", running.pid, born + 1) == []
    assert converse(reaper, "list") == [f"{running.pid} {born} {3 << 8}"]
    converse(reaper, "forget", running.pid, born)
    assert converse(reaper, "list") == []
    guests.start_keeper()


@pytest.mark.parametrize(
    "words",
    [
        ["explode"],
        [""],
        ["status"],
        ["status", "x", "y"],
        ["forget", "1"],
        ["spawn"],
        ["spawn", "0", "/bin/true"],
        ["spawn", "-5", "/bin/true"],
        ["status", "1", "9" * 5000],
    ],
)
def test_the_reaper_answers_nonsense_with_an_error_and_lives(
    guests: Guests, reaper: socket.socket, words: list[str]
) -> None:
    with pytest.raises(OSError, match="the reaper does not do it"):
        converse(reaper, *words)
    assert converse(reaper, "hello") == ["1"]


@pytest.mark.parametrize("datagram", [b"x", b"\xff" * 200_000], ids=["one field", "too long"])
def test_who_speaks_no_words_to_the_reaper_is_dropped_alone(
    guests: Guests, reaper: socket.socket, datagram: bytes
) -> None:
    with connect(guests.socket.with_name(REAPER_SOCKET)) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        channel.settimeout(patience(20))
        channel.send(datagram)
        assert channel.recv(1) == b""
    assert converse(reaper, "hello") == ["1"]


def test_a_private_keeper_has_no_reaper(guests: Guests) -> None:
    channel, process = private_keeper()
    assert parent_of(process.pid) == os.getpid()
    channel.close()
    assert process.wait(timeout=patience(20)) == 0


@every_end
def test_keeper_and_reaper_end_by_sigterm_with_the_last_guest_and_how_that_ended_is_known_later(
    guests: Guests, busybox_root: Path, end: str
) -> None:
    running = waiting(guests, busybox_root, end)
    keeper, reaper = guests.keeper_pid, reaper_of(guests)
    for pid in (reaper, keeper):
        os.kill(pid, signal.SIGTERM)
    assert [each["uuid"] for each in guests.ask(Verb.HELLO)["guests"]] == [running.uuid]
    guests.disconnect()
    os.write(running.consoles[0], b"end\n")
    for pid in (keeper, reaper):
        await_end(pid)
    guests.start_keeper()
    found = completed(guests.launcher.succession.recover(running.record))
    assert found is not None
    assert found.status is not None
    assert said(found.status) == ENDS[end]
