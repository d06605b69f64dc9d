"""Processes that are known by their pid and start, never by the number alone."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from insula.kernel.process import start_time
from insula.kernel.processidentity import ProcessIdentity, ended, identity_of, lives, opened, processes_where, signalled
from tests.waiting import until


def test_a_process_that_has_the_number_of_another_is_not_followed() -> None:
    own = start_time(os.getpid())
    assert lives(ProcessIdentity(pid=os.getpid(), started=own))
    assert not lives(ProcessIdentity(pid=os.getpid(), started=own + 1))
    assert not lives(None)


def test_a_process_that_has_ended_is_gone_and_gets_no_signal() -> None:
    with subprocess.Popen(["true"]) as process:
        identity = ProcessIdentity(pid=process.pid, started=start_time(process.pid))
        process.wait()
    assert opened(identity) is None
    assert not signalled(identity, signal.SIGTERM)


def test_a_process_is_found_by_its_words_and_its_directory() -> None:
    with subprocess.Popen(["sleep", "41.5"]) as process:
        words = (b"sleep", b"41.5")
        until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes(), "the words")
        found = processes_where(lambda command, directory: command == words and directory.name == str(process.pid))
        assert found == [identity_of(process.pid)]
        process.kill()


def test_a_process_that_has_no_words_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel shows it: neither its words nor where its environment begins, which is known behind them."""
    read_bytes, command = Path.read_bytes, ["sleep", f"42.{os.getpid()}"]
    asked: list[str] = []
    with subprocess.Popen(command) as process:
        directory = Path(f"/proc/{process.pid}")

        def at_first(path: Path) -> bytes:
            said = read_bytes(path)
            if path.parent == directory and len(asked) < 4:
                asked.append(path.name)
                name, _, rest = said.rpartition(b")")
                fields = rest.split()
                return b"" if path.name == "cmdline" else b" ".join((name + b")", *fields[:47], b"0", *fields[48:]))
            return said

        until(lambda: read_bytes(directory / "cmdline"), "the words")
        monkeypatch.setattr(Path, "read_bytes", at_first)
        found = processes_where(lambda words, _: words == tuple(each.encode() for each in command))
        process.kill()
    assert [each.pid for each in found] == [process.pid]
    assert asked == ["cmdline", "stat"] * 2


def test_a_child_of_a_process_that_ended_behind_the_listing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a daemon begins: what was listed is its parent, which is gone when it is asked."""
    listed, begun = os.listdir, list["subprocess.Popen[bytes]"]()
    command = ["sleep", f"44.{os.getpid()}"]
    parent = subprocess.Popen(["sleep", "44"])

    def at_first(path: str) -> list[str]:
        names = listed(path)
        if path == "/proc" and not begun:
            assert str(parent.pid) in names
            begun.append(subprocess.Popen(command))
            parent.kill()
            parent.wait()
        return names

    monkeypatch.setattr(os, "listdir", at_first)
    found = processes_where(lambda words, _: words == tuple(each.encode() for each in command))
    begun[0].kill()
    assert [each.pid for each in found] == [begun[0].pid]
    begun[0].wait()


def test_a_process_that_has_taken_its_words_away_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes, asked = Path.read_bytes, list[Path]()
    with subprocess.Popen(["sleep", "43"]) as process:
        directory = Path(f"/proc/{process.pid}")

        def without_words(path: Path) -> bytes:
            if path == directory / "cmdline":
                asked.append(path)
                return b""
            return read_bytes(path)

        until(lambda: read_bytes(directory / "cmdline"), "the words")
        monkeypatch.setattr(Path, "read_bytes", without_words)
        processes_where(lambda *_: False)
        process.kill()
    assert len(asked) == 2


def test_words_that_come_between_two_readings_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at first, and once it is asked why, they have come."""
    read_bytes, command = Path.read_bytes, ["sleep", f"45.{os.getpid()}"]
    asked: list[str] = []
    with subprocess.Popen(command) as process:
        directory = Path(f"/proc/{process.pid}")

        def at_first(path: Path) -> bytes:
            if path.parent == directory:
                asked.append(path.name)
                if asked == ["cmdline"]:
                    return b""
            return read_bytes(path)

        until(lambda: read_bytes(directory / "cmdline"), "the words")
        monkeypatch.setattr(Path, "read_bytes", at_first)
        found = processes_where(lambda words, _: words == tuple(each.encode() for each in command))
        process.kill()
    assert [each.pid for each in found] == [process.pid]
    assert asked[:3] == ["cmdline", "stat", "cmdline"]


def test_processes_are_ended_by_one_signal_after_the_other_and_those_left_are_told() -> None:
    deaf = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        identity = identity_of(process.pid)
        assert ended([identity], (signal.SIGTERM,), patience=0.01) == [identity]
        assert ended([identity], (signal.SIGTERM, signal.SIGKILL), patience=0.5) == []
        process.wait()
    assert process.returncode == -signal.SIGKILL
