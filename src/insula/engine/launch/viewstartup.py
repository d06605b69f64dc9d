"""Starting the view's process, finding it again, and replacing one of another version: its death is a pause."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from insula.engine.keeper.startup import Placed, listener_at, listening_pid, lock_file, start_program
from insula.errors import KeeperError, OperationFailedError
from insula.kernel.sealing import SEAL
from insula.view.viewprotocol import VERSION, ViewVerb, receive_words, send_words

_VIEW = (sys.executable, "-I", "-c", "from insula.view.main import main; main()")
_PATIENCE = 5.0
"""Seconds for one answer."""
_ENDING = 5.0
"""Seconds in which who was told to end, or does not answer, ends by itself before it is killed."""


def obtain_view(path: Path, *, log: int | None = None, placed: Placed = lambda _: None) -> socket.socket:
    """Return a channel to the view that listens at path, of our version; started where there is none.

    log: an fd for its complaints; placed: called with its pid. It outlives us. Only one is started, whoever else tries
    at the same time. Raises: OperationFailedError if it does not come up.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(path.with_suffix(".lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            channel = _living(path)
            if channel is None:
                with listener_at(path) as listener:
                    start_program([*SEAL, *_VIEW], "--listen-fd", listener, log, detached=True)
                channel = _connected(path)
            try:
                placed(listening_pid(channel))
            except BaseException:
                channel.close()
                raise
            return channel
    except KeeperError as error:
        raise OperationFailedError("the machine view did not start; its log, view.log, says why") from error
    except OSError as error:
        raise OperationFailedError(f"the machine view cannot be started: {error}") from error


def _connected(path: Path) -> socket.socket:
    """Raises: OSError if nobody listens there."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(os.fspath(path))
    except BaseException:
        channel.close()
        raise
    return channel


def _living(path: Path) -> socket.socket | None:
    """Return a channel to a view of our version; one of another, or that does not answer, has ended by then."""
    try:
        channel = _connected(path)
    except OSError:
        return None
    with contextlib.suppress(OSError, ValueError):
        if _asked(channel, ViewVerb.HELLO).get("version") == VERSION:
            channel.settimeout(None)
            return channel
        _asked(channel, ViewVerb.QUIT)
    _end(channel)
    return None


def _asked(channel: socket.socket, verb: ViewVerb) -> dict[str, Any]:
    channel.settimeout(_PATIENCE)
    send_words(channel, {"request": 0, "verb": verb.value})
    answer = receive_words(channel)
    if answer is None:
        raise ConnectionResetError("the view is gone")
    answer.close()
    return answer.body


def _end(channel: socket.socket) -> None:
    """See the view behind a channel end; kill it where it does not."""
    with channel:
        try:
            pidfd = os.pidfd_open(listening_pid(channel))
        except OSError:
            return
        try:
            if not select.select([pidfd], [], [], _ENDING)[0]:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [], _ENDING)
        finally:
            os.close(pidfd)
