"""Tests of insula.engine.keeper.startup, as far as they need no privilege; tests/system/test_keeper.py has more."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from insula.engine.keeper import startup
from insula.errors import KeeperError
from tests.descriptors import open_fds
from tests.waiting import patience, scaled, until


def test_where_nobody_listens_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeeperError, match=r"no keeper listens at .*/k.sock: No such file"):
        startup.connect(tmp_path / "k.sock")


def test_who_listens_already_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "k.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        there: list[int] = []
        startup.spawn_keeper(path, placed=there.append)
        startup.connect(path).close()
        assert there == [os.getpid()], "it may stand where it ends with the daemon's unit"


@pytest.mark.parametrize("answer", [b"%s\0ok\x001", None])
def test_a_reaper_is_put_where_it_is_to_be_also_if_it_was_there_before(tmp_path: Path, answer: bytes | None) -> None:
    """Where it is of another kind, or cannot be had, it is left alone."""
    path = tmp_path / "r.sock"
    there: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as client:
                number = client.recv(100).partition(b"\0")[0]
                client.send(b"%s\0ok\x009" % number if answer is None else answer % number)

        thread = threading.Thread(target=serve)
        thread.start()
        if answer is None:
            with pytest.raises(startup._UnreachableError, match="of another kind"):
                startup.reach_reaper(path, None, there.append)
        else:
            startup.reach_reaper(path, None, there.append).close()
        thread.join()
    assert there == ([] if answer is None else [os.getpid()])


@pytest.mark.parametrize(
    ("program", "seconds", "complaint"),
    [
        ("raise SystemExit(3)", scaled(20), "did not start; its log says why"),
        ("import time; time.sleep(60)", 0.5, "did not start within"),
    ],
)
def test_a_keeper_that_does_not_come_up_is_given_up(
    monkeypatch: pytest.MonkeyPatch, program: str, seconds: float, complaint: str
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def other(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        started.append(real([sys.executable, "-I", "-c", program, *command[4:]], **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", other)
    monkeypatch.setattr(startup, "_PATIENCE", seconds)
    with pytest.raises(KeeperError, match=complaint):
        startup.private_keeper()
    assert started[0].wait(timeout=patience(20)) != 0


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import time; time.sleep(1000)"])
@pytest.mark.parametrize("detached", [True, False])
def test_of_a_keeper_that_does_not_come_up_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, program: str, detached: bool
) -> None:
    """Neither its process, nor one it left in its group, nor a descriptor of ours."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen
    forking = f"import os; os.fork(); {program}"

    def other(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        started.append(real([sys.executable, "-I", "-c", forking], **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", other)
    monkeypatch.setattr(startup, "_PATIENCE", 0.5)
    before = open_fds()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(KeeperError):
        startup.start_program(["program"], "--channel-fd", theirs, None, detached=detached)
    assert started[0].returncode is not None
    until(lambda: not group_lives(started[0].pid), "the end of its process group")
    assert open_fds() == before


def group_lives(group: int) -> bool:
    """Whether a process of the group is left that is not waiting to be reaped by its new parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state != "Z":
                    return True
    return False


def test_a_socket_left_by_a_dead_keeper_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "k.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    started: list[bool] = []

    def start(
        command: Sequence[str],
        option: str,
        given: socket.socket,
        log: int | None,
        *,
        detached: bool,
        more: Sequence[int],
    ) -> None:
        startup.connect(path).close()
        started.append(detached)

    monkeypatch.setattr(startup, "reach_reaper", no_reaper)
    monkeypatch.setattr(startup, "start_program", start)
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    startup.spawn_keeper(path, log=log)
    os.close(log)
    assert started == [True], "a keeper without a reaper serves as well"
    assert (tmp_path / "log").read_text() == "no reaper to be had\n"
    assert path.stat().st_mode & 0o777 == 0o600


def no_reaper(path: Path, log: int | None, placed: startup.Placed) -> socket.socket:
    raise startup._UnreachableError("no reaper to be had")


def test_nobody_else_may_open_the_lock_whatever_its_mode_was(tmp_path: Path) -> None:
    path = tmp_path / "k.sock"
    lock = tmp_path / "k.lock"
    lock.touch(mode=0o644)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        startup.spawn_keeper(path)
    assert lock.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("soft_limit", [None, 777])
def test_a_keeper_that_cannot_be_started_says_why(tmp_path: Path, soft_limit: int | None) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeeperError, match="file"):
        startup.spawn_keeper(tmp_path / "file" / "keeper", soft_limit=soft_limit)


def test_a_keeper_may_begin_with_fewer_descriptors_than_we_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    program = (
        "import os, resource, sys; soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE); "
        f"open({str(told)!r}, 'w').write(str(soft)); os.write(int(sys.argv[sys.argv.index('--ready-fd') + 1]), b'r')"
    )
    real = subprocess.Popen
    monkeypatch.setattr(startup, "reach_reaper", no_reaper)

    def other(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        at = command.index("-c") + 1
        changed = [*command[:at], program, *command[at + 1 :]]
        started: subprocess.Popen[bytes] = real(changed, **options)  # type: ignore[call-overload]
        return started

    monkeypatch.setattr(subprocess, "Popen", other)
    startup.spawn_keeper(tmp_path / "k.sock", soft_limit=777)
    assert told.read_text() == "777"
