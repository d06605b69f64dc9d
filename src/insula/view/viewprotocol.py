"""The words between insulad and the view's process.

    insulad                               insula-view
      │ hello ──────────────────────────────►│
      │◄──────────── version, pid, launches ─│
      │ show (guest; fds device, memory) ───►│ serves that connection from now on, or describes its guest anew
      │ read (launch, path) ────────────────►│
      │◄──────────────────────────── content ─│
      │ tell (launch, text) ────────────────►│ a line of the guest's kernel log
      │ hide (launch) · ping · quit ────────►│

A message is one SOCK_SEQPACKET datagram, a JSON object; `show` has its two descriptors beside it. Each request has a
number, which its answer bears: {"request": 7, "verb": "hello"} → {"answer": 7, …} or {"answer": 7, "error": "…"}.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from insula.kernel.fds import Fd, close_all

VERSION = 1
"""Raised when a view of the former version would misunderstand, or should be replaced by one that tells guests more.

A view that is found with another version is told to end, and one of this version takes its connections over.
"""
MESSAGE_MAX = 128 * 1024
"""Bytes of a message; a content that is longer is cut."""
_FDS_MAX = 4


class ViewVerb(Enum):
    HELLO = "hello"
    SHOW = "show"
    HIDE = "hide"
    READ = "read"
    TELL = "tell"
    PING = "ping"
    QUIT = "quit"


class ViewMessage(NamedTuple):
    """One message; whoever receives it owns the descriptors."""

    body: dict[str, Any]
    fds: list[Fd]

    def close(self) -> None:
        close_all(self.fds)
        self.fds.clear()


def send_words(channel: socket.socket, body: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send a message; the caller keeps its descriptors.

    Raises: OSError; BlockingIOError on a channel that does not wait and whose peer does not read.
    """
    encoded = json.dumps(body, separators=(",", ":")).encode()
    if fds:
        socket.send_fds(channel, [encoded], list(fds))
    else:
        channel.send(encoded)


def receive_words(channel: socket.socket) -> ViewMessage | None:
    """Return the next message, None at the end.

    Raises: OSError; BlockingIOError if none is there on a channel that does not wait; ValueError for what is none.
    """
    encoded, received, flags, _ = socket.recv_fds(channel, MESSAGE_MAX, _FDS_MAX, socket.MSG_CMSG_CLOEXEC)
    fds = [Fd(each) for each in received]
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("a message was cut on its way")
        if not encoded:
            close_all(fds)
            return None
        body = json.loads(encoded.decode())
        if not isinstance(body, dict):
            raise ValueError("a message is no object")
    except (ValueError, RecursionError) as error:
        close_all(fds)
        raise ValueError(f"not a message: {error}") from error
    return ViewMessage(body, fds)
