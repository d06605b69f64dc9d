"""The reaper in a fork of the test, without its own mounts; tests/system/test_reaper.py has what keepers make of it."""

import _socket
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper import reaper as reaper_module
from insula.engine.keeper.reaper import REMEMBERED_MAX, Reaper
from insula.engine.keeper.reaperlink import converse
from insula.kernel.process import has_ended, start_time
from tests import libc
from tests.waiting import patience, until


class ForkedReaper:
    """A reaper, and a channel to it."""

    def __init__(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("")
        listener.listen()
        self.address = listener.getsockname()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                libc.become_subreaper()
                ours = _socket.socket(fileno=os.dup(listener.fileno()))
                ours.setblocking(False)
                Reaper(ours, reaper_module._watch_children()).run()
                os._exit(0)
            finally:
                os._exit(1)
        listener.close()
        self.channel = self.connect()

    def connect(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.connect(self.address)
        return channel

    def ask(self, *words: str | int) -> list[str]:
        return converse(self.channel, *words)


@pytest.fixture
def reaper() -> Iterator[ForkedReaper]:
    made = ForkedReaper()
    yield made
    os.kill(made.pid, signal.SIGKILL)
    os.waitpid(made.pid, 0)
    made.channel.close()


def test_it_tells_its_version_which_never_changes(reaper: ForkedReaper) -> None:
    assert reaper.ask("hello") == ["1"]


def test_it_ends_when_nobody_is_there_and_nothing_is_left() -> None:
    made = ForkedReaper()
    assert made.ask("list") == []
    made.channel.close()
    assert os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1]) == 0


def test_it_ends_when_nobody_ever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper_module, "PATIENCE", 0.01)
    monkeypatch.setattr(ForkedReaper, "connect", lambda self: socket.socket())
    made = ForkedReaper()
    assert os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1]) == 0
    made.channel.close()


@pytest.mark.parametrize("words", [("nonsense",), ("status",), ("status", "a", "b"), ("spawn", "0", "/bin/true")])
def test_what_it_does_not_understand_is_an_error_and_no_end(reaper: ForkedReaper, words: tuple[str, ...]) -> None:
    with pytest.raises(OSError, match="does not do it"):
        reaper.ask(*words)
    assert reaper.ask("hello") == ["1"]


def test_it_refuses_strangers_words_without_end(reaper: ForkedReaper) -> None:
    with reaper.connect() as other:
        other.send(b"only one field")
        other.settimeout(patience(10))
        assert other.recv(1) == b""
    assert reaper.ask("hello") == ["1"]


@pytest.fixture
def remembers() -> Iterator[Reaper]:
    """A reaper in this process, whose children are those of the test."""
    listener = _socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield Reaper(listener, listener.fileno())
    listener.close()


def test_it_remembers_how_an_orphan_ended_under_its_pid_and_birth(remembers: Reaper) -> None:
    with subprocess.Popen(["sh", "-c", "read word; exit 5"], stdin=subprocess.PIPE) as orphan:
        born = start_time(orphan.pid)
        remembers._orphans.add(orphan.pid)
        remembers._reaped()
        name = [str(orphan.pid).encode(), str(born).encode()]
        assert remembers._status(name, []) == []
        assert orphan.stdin is not None
        orphan.stdin.close()

        def known() -> list[str]:
            remembers._reaped()
            return remembers._status(name, [])

        assert until(known, "its end") == [str(5 << 8)]
        assert remembers._list([], []) == [f"{orphan.pid} {born} {5 << 8}"]
        assert remembers._status([name[0], b"1"], []) == []
        remembers._forget(name, [])
        assert remembers._list([], []) == []
        orphan.returncode = 0  # reaped by the other


def test_it_does_not_remember_without_end(remembers: Reaper) -> None:
    remembers._ends.update({(10**8 + number, 1): 0 for number in range(REMEMBERED_MAX)})
    with subprocess.Popen(["true"]) as orphan:
        remembers._orphans.add(orphan.pid)

        def known() -> bool:
            remembers._reaped()
            return any(pid == orphan.pid for pid, _ in remembers._ends)

        until(known, "its end")
        assert (10**8, 1) not in remembers._ends, "the oldest has gone"
        assert len(remembers._ends) == REMEMBERED_MAX
        orphan.returncode = 0
    assert len(remembers._list([], [])) == reaper_module.LISTED


def test_it_remembers_nobody_who_was_no_keepers_child(remembers: Reaper) -> None:
    """What orphans make its children (CLONE_PARENT) could drive out what will be asked for."""
    with subprocess.Popen(["true"]) as other:

        def gone() -> bool:
            remembers._reaped()
            return not os.path.exists(f"/proc/{other.pid}")

        until(gone, "its end")
        assert remembers._list([], []) == []
        other.returncode = 0


def test_it_remembers_no_keepers_own_helpers(
    remembers: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would ever ask for their ends, and so it would never end itself."""
    (tmp_path / "insula-spawner").symlink_to("/bin/sleep")
    guest = subprocess.Popen(["sleep", "1000"])
    helper = subprocess.Popen([tmp_path / "insula-spawner", "1000"])
    keeper = subprocess.Popen(["true"])
    remembers._spawned.add(keeper.pid)
    monkeypatch.setattr(reaper_module, "_children", lambda: [guest.pid, helper.pid])
    until(lambda: remembers._reaped() and remembers._orphans, "the keeper's end")
    assert remembers._orphans == {guest.pid}
    for each in (helper, guest):
        each.kill()
        each.wait()
    keeper.returncode = 0


def test_it_tells_of_one_that_ended_behind_very_many_others(remembers: Reaper) -> None:
    others = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(5)]
    with subprocess.Popen(["sh", "-c", "exit 5"]) as orphan:
        born = start_time(orphan.pid)
        remembers._orphans.add(orphan.pid)
        pidfd = os.pidfd_open(orphan.pid)
        until(lambda: has_ended(pidfd), "its end")
        os.close(pidfd)
        assert remembers._status([b"%d" % orphan.pid, b"%d" % born], []) == [str(5 << 8)]
        orphan.returncode = 0
    for other in others:
        os.waitpid(other, 0)


def test_its_program_imports_nothing_of_ours_and_almost_nothing_else() -> None:
    named = {"__name__": "looked at"}
    code = (
        f"import sys; exec(compile(open({reaper_module.__file__!r}).read(), 'reaper', 'exec'), {named!r})\n"
        "dear = ('socket', 'signal', 'enum', 'json', 're', 'typing', 'insula')\n"
        "print([each for each in sys.modules if each.split('.')[0] in dear])"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_by_sigterm_it_ends_whoever_is_connected() -> None:
    made = ForkedReaper()
    assert made.ask("hello") == ["1"]
    os.kill(made.pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1]) == 0
    made.channel.close()
