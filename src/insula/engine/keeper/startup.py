"""Starting keepers and their reaper, and reaching them."""

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from insula.engine.keeper.reaperlink import VERSION as REAPER_VERSION
from insula.engine.keeper.reaperlink import converse, spawn
from insula.errors import KeeperError
from insula.kernel.process import with_descriptors
from insula.kernel.sealing import SEAL
from insula.kernel.standardstreams import socket_above_standard

REAPER_SOCKET = "reaper.sock"
"""Where the reaper of all keepers listens, beside their socket."""
ENDS = "keeper-ends"
"""What a keeper writes before it ends by SIGTERM, beside its socket: `keeper.farewell`."""
_KEEPER = (sys.executable, "-I", "-c", "from insula.engine.keeper.main import main; main()")
_REAPER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py")))
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
_PATIENCE = 30.0
"""Seconds a new keeper has until it answers."""
_LATE = f"the keeper did not start within {_PATIENCE:g} s"


def connect(path: Path) -> socket.socket:
    """Return a channel to the keeper that listens at path. Raises: KeeperError if none does."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(os.fspath(path))
    except OSError as error:
        channel.close()
        raise KeeperError(f"no keeper listens at {path}: {error.strerror}") from error
    return channel


Placed = Callable[[int], None]
"""Puts a process that has just begun where it is to stay, with all that it will start."""


def spawn_keeper(
    path: Path, *, log: int | None = None, soft_limit: int | None = None, placed: Placed = lambda _: None
) -> None:
    """Start a keeper that listens at path, unless one does already; it outlives us.

    log: an fd for its complaints; soft_limit: of descriptors, which it hands on to guests, if not ours; placed: called
    with the pid of the reaper before that starts a keeper, or of a keeper that is there or has none. Returns as soon
    as one can connect. Only one starts, whoever else tries at the same time.
    Raises: KeeperError if it does not come up.
    """
    try:
        _spawn(path, log, soft_limit, placed)
    except OSError as error:
        raise KeeperError(f"the keeper cannot be started: {error}") from error


def _spawn(path: Path, log: int | None, soft_limit: int | None, placed: Placed) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(KeeperError), reach_keeper(path, placed):
            return
        before = () if soft_limit is None else with_descriptors(soft_limit)
        with listener_at(path) as listener, _opened(path.with_name(ENDS)) as ends:
            try:
                with reach_reaper(path.with_name(REAPER_SOCKET), log, placed) as reaper:
                    _start_as_child_of(reaper, path.with_name(REAPER_SOCKET), listener, log, before, ends)
                    return
            except _UnreachableError as error:
                # Guests are served without it as well; only how they end is lost if the keeper dies before them.
                _complain(log, str(error))
            words = [*before, *SEAL, *_KEEPER, "--ends-fd", str(ends.fileno())]
            start_program(words, "--listen-fd", listener, log, detached=True, more=(ends.fileno(),))
        with contextlib.suppress(KeeperError), connect(path) as channel:
            placed(listening_pid(channel))


def _opened(place: Path) -> IO[bytes]:
    """Open what a keeper is to append to; nothing where that cannot be had, which keeps no guest from starting."""
    try:
        return os.fdopen(
            os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "ab"
        )
    except OSError:
        return open(os.devnull, "ab")


def listening_pid(channel: socket.socket) -> int:
    """Return the pid of whoever listens at the other end: unix(7), SO_PEERCRED."""
    pid: int = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid


def listener_at(path: Path) -> socket.socket:
    """Return a socket that listens at path, in place of one that nobody has any more."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


class _UnreachableError(Exception):
    """There is no reaper, and none can be had."""


def _complain(log: int | None, text: str) -> None:
    if log is not None:
        with contextlib.suppress(OSError):
            os.write(log, f"{text}\n".encode())


def reach_keeper(path: Path, placed: Placed) -> socket.socket:
    """Return a channel to the keeper that listens at path, which is put where it is to be. Raises: KeeperError."""
    return _put_in_place(connect(path), placed)


def _put_in_place(channel: socket.socket, placed: Placed) -> socket.socket:
    """Return a channel once placed has been called for who listens at its other end; closed where that raises."""
    try:
        placed(listening_pid(channel))
    except BaseException:
        channel.close()
        raise
    return channel


def reach_reaper(path: Path, log: int | None, placed: Placed) -> socket.socket:
    """Return a channel to the reaper that listens at path, started now if there is none, where it is to be.

    One that is there may not be: who started it could not put it there, or did not know how.
    Raises: _UnreachableError.
    """
    try:
        return _put_in_place(_reaper_at(path, log), placed)
    except (OSError, KeeperError) as error:
        raise _UnreachableError(f"there is no reaper at {path}: {error}") from error


def _reaper_at(path: Path, log: int | None) -> socket.socket:
    with contextlib.suppress(KeeperError):
        return _greeted(path)
    with listener_at(path) as listener:
        start_program([*SEAL, *_REAPER], "--listen-fd", listener, log, detached=True)
        return _greeted(path)


def _greeted(path: Path) -> socket.socket:
    """Raises: KeeperError if nobody listens, or it has just ended; OSError if we cannot speak with whoever does."""
    channel = connect(path)
    try:
        if converse(channel, "hello") != [REAPER_VERSION]:
            raise OSError("it is of another kind")
    except ConnectionError as error:
        channel.close()
        raise KeeperError(f"the reaper at {path} has just ended") from error
    except BaseException:
        channel.close()
        raise
    return channel


def _start_as_child_of(
    reaper: socket.socket,
    path: Path,
    listener: socket.socket,
    log: int | None,
    before: Sequence[str],
    ends: IO[bytes],
) -> None:
    """Have the reaper start a keeper that sees what we see. Raises: _UnreachableError; KeeperError."""
    with contextlib.ExitStack() as open_ones:

        def opened(fd: int) -> int:
            open_ones.callback(os.close, fd)
            return fd

        ready, done = os.pipe2(os.O_CLOEXEC)
        opened(ready)
        null = opened(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        view = opened(os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        try:
            keepers = open_ones.enter_context(connect(path))
            said = null if log is None else log
            streams = (null, null, said, listener.fileno(), done, keepers.fileno(), view, ends.fileno())
            numbers = ("--listen-fd", "3", "--ready-fd", "4", "--reaper-fd", "5", "--ends-fd", "7")
            pid = spawn(reaper, [*before, *SEAL, "--view-fd", "6", *_KEEPER, *numbers], ENVIRONMENT, streams)
        except (OSError, KeeperError) as error:
            raise _UnreachableError(f"the reaper at {path} starts no keeper: {error}") from error
        finally:
            os.close(done)
        if not _is_ready(ready):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            raise KeeperError(_LATE)
        _expect_ready(ready)


def lock_file(path: Path) -> IO[bytes]:
    """Open a lock that nobody else may open: who reads it can lock it as well (flock(2))."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return open(descriptor, "r+b")


def private_keeper(*, log: int | None = None) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start a keeper of our own; return a channel to it and its process. It ends with the channel, its guests too."""
    ours, theirs = map(socket_above_standard, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    try:
        with theirs:
            return ours, start_program([*SEAL, *_KEEPER], "--channel-fd", theirs, log, detached=False)
    except BaseException:
        ours.close()
        raise


def start_program(
    command: Sequence[str],
    option: str,
    given: socket.socket,
    log: int | None,
    *,
    detached: bool,
    more: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Run a program with a pipe that closes when it is ready. more: further descriptors that it is given.

    detached: by a process in between that ends at once, so that it is nobody's child.
    """
    ready, done = os.pipe2(os.O_CLOEXEC)
    words = [*command, option, str(given.fileno()), "--ready-fd", str(done)]
    if detached:
        words.append("--detach")
    try:
        process = subprocess.Popen(
            words,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if log is None else log,
            pass_fds=(given.fileno(), done, *more),
            start_new_session=True,
        )
    except BaseException:
        os.close(ready)
        raise
    finally:
        os.close(done)
    try:
        _wait_until_ready(ready, process)
    finally:
        os.close(ready)
    if detached:
        process.wait()
    return process


def _wait_until_ready(ready: int, process: "subprocess.Popen[bytes]") -> None:
    if not _is_ready(ready):
        # Its session is its process group too, so a detached one is ended with it, and does not keep the socket.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise KeeperError(_LATE)
    try:
        _expect_ready(ready)
    except KeeperError:
        process.wait()
        raise


def _is_ready(ready: int) -> bool:
    """Return whether the program says within the time it has that it is ready, or that it has ended."""
    import select

    poller = select.poll()
    poller.register(ready, select.POLLIN)
    deadline = time.monotonic() + _PATIENCE
    while not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if time.monotonic() >= deadline:
            return False
    return True


def _expect_ready(ready: int) -> None:
    """Take its one byte."""
    if os.read(ready, 1) != b"r":
        raise KeeperError("the keeper did not start; its log says why")
