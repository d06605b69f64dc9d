"""Starting keepers and reaching them."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from insula.errors import KeeperError
from insula.kernel.process import with_descriptors
from insula.kernel.standardstreams import socket_above_standard

_MODULE = "insula.engine.keeper"
_PATIENCE = 10.0
"""Seconds a new keeper has until it answers."""


def connect(path: Path) -> socket.socket:
    """Return a channel to the keeper that listens at path. Raises: KeeperError if none does."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(os.fspath(path))
    except OSError as error:
        channel.close()
        raise KeeperError(f"no keeper listens at {path}: {error.strerror}") from error
    return channel


def spawn_keeper(path: Path, *, log: int | None = None, soft_limit: int | None = None) -> None:
    """Start a keeper that listens at path, unless one does already; it outlives us.

    log: an fd for its complaints; soft_limit: of descriptors, which it hands on to guests, if not ours. Returns as soon
    as one can connect. Only one starts, whoever else tries at the same time.
    Raises: KeeperError if it does not come up.
    """
    try:
        _spawn(path, log, soft_limit)
    except OSError as error:
        raise KeeperError(f"the keeper cannot be started: {error}") from error


def _spawn(path: Path, log: int | None, soft_limit: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(path.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(KeeperError):
            connect(path).close()
            return
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            mask = os.umask(0o177)
            try:
                listener.bind(os.fspath(path))
            finally:
                os.umask(mask)
            listener.listen()
            before = () if soft_limit is None else with_descriptors(soft_limit)
            _start("--listen-fd", listener, log, detached=True, before=before)


def _lock_file(path: Path) -> IO[bytes]:
    """Open a lock that nobody else may open: who reads it can lock it as well (flock(2))."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return open(descriptor, "r+b")


def private_keeper(*, log: int | None = None) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start a keeper of our own; return a channel to it and its process. It ends with the channel, its guests too."""
    ours, theirs = map(socket_above_standard, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    try:
        with theirs:
            return ours, _start("--channel-fd", theirs, log, detached=False)
    except BaseException:
        ours.close()
        raise


def _start(
    option: str, given: socket.socket, log: int | None, *, detached: bool, before: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """Run the program with a pipe that closes when it is ready.

    detached: by a process in between that ends at once, so that it is nobody's child; before: words of a command that
    becomes the program.
    """
    ready, done = os.pipe2(os.O_CLOEXEC)
    code = f"from {_MODULE} import main; main()"
    command = [*before, sys.executable, "-I", "-c", code, option, str(given.fileno()), "--ready-fd", str(done)]
    if detached:
        command.append("--detach")
    try:
        process = subprocess.Popen(
            command,
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if log is None else log,
            pass_fds=(given.fileno(), done),
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
    """Wait for the keeper's one byte."""
    import select

    poller = select.poll()
    poller.register(ready, select.POLLIN)
    deadline = time.monotonic() + _PATIENCE
    while not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if time.monotonic() >= deadline:
            # Its session is its process group too, so a detached one is ended with it, and does not keep the socket.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise KeeperError(f"the keeper did not start within {_PATIENCE:g} s")
    if os.read(ready, 1) != b"r":
        process.wait()
        raise KeeperError("the keeper did not start; its log says why")
