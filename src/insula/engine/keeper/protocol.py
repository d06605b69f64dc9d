"""The words between insulad, the keeper, and the first process of a guest.

    insulad (or the SDK)               keeper                                guest's first process
      │ hello ──────────────────────────►│
      │◄─────── what it holds ───────────│
      │ launch (fds: image, cgroup) ────►│ clone3 ──────────────────────────────►│ plays its program
      │◄── its pid ──────────────────────│                                       │ as far as it can, waits
      │ netlink ────────────────────────►│◄──────────── (fd: netlink) ───────────│
      │◄── (fd: netlink) ────────────────│
      │ go (fds: root, …) ──────────────►│ one byte (the same fds) ─────────────►│ plays on
      │                                  │◄─ consoles (fds: terminals) ──────────│
      │                                  │◄─ executing | failed ─────────────────│ execs: end of file
      │◄── running (pidfd, console0…) ───│
      │    | error (step, errno, text)   │
      │                                  │
      │ kill ───────────────────────────►│ SIGKILL ─────────────────────────────►│
      │◄── its wait status, once reaped  │
      │ forget ─────────────────────────►│ (until then the record stays)
      │                                  │
      │◄┄┄ event: exited, executed ┄┄┄┄┄┄│ pushed to everybody who said hello
      │ execute · perform · proceed · adopt · status · fetch · keep · abort · quit · ping

A message is one SOCK_SEQPACKET datagram: a JSON object; fds travel beside it (SCM_RIGHTS), and `fds` in the object
names them in their order. A body of more than `BODY_MAX` bytes travels in a memory file; the datagram is `{"bulk": …}`.

    request  {"request": 7, "verb": "launch", …, "fds": ["cgroup"]}
    answer   {"answer": 7, …}   or   {"answer": 7, "error": {"text": …, "errno": …, "step": …}}
    event    {"event": "exited", "uuid": …, "status": …}
"""

import array
import fcntl
import json
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from insula.engine.program.image import GO
from insula.kernel.fds import Fd, close_all, contents, memory_file

VERSION = 2
"""Raised when a keeper of the former version would misunderstand."""

BODY_MAX = 64 * 1024
BULK_MAX = 16 * 1024 * 1024
"""Bytes of a body that travels in a memory file."""
_DATAGRAM_MAX = BODY_MAX + 16 * 1024
_FDS_MAX = 253
"""What one datagram may carry. Source: the kernel's SCM_MAX_FD."""
_ANCILLARY_SIZE = socket.CMSG_SPACE(_FDS_MAX * 4)
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
"""As a number: operators of enums are Python's own functions, and this is asked of every message."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Verb(Enum):
    """What a keeper is asked; the fields of each request and answer are listed with `Keeper`'s methods."""

    HELLO = "hello"
    FETCH = "fetch"
    LAUNCH = "launch"
    NETLINK = "netlink"
    GO = "go"
    PROCEED = "proceed"
    ABORT = "abort"
    KILL = "kill"
    EXECUTE = "execute"
    PERFORM = "perform"
    ADOPT = "adopt"
    KEEP = "keep"
    STATUS = "status"
    FORGET = "forget"
    QUIT = "quit"
    PING = "ping"


class EventKind(Enum):
    """What a keeper tells unasked."""

    EXITED = "exited"
    """A guest's init has ended: `uuid`, `status` (a wait status, None if nobody can know)."""
    EXECUTED = "executed"
    """An entered process has ended: `id`, `uuid`, `status`; `held` (true if not said): it is to be forgotten."""


class Message(NamedTuple):
    """One datagram: the object, and the fds by their names; whoever receives it owns them."""

    body: dict[str, Any]
    fds: dict[str, Fd]

    def close(self) -> None:
        """Close the fds that nobody took out."""
        close_all(self.fds.values())
        self.fds.clear()


def send(channel: socket.socket, body: Mapping[str, Any], fds: Mapping[str, int] | None = None) -> None:
    """Send one message; the caller keeps its fds.

    Raises: OSError; BlockingIOError on a non-blocking channel whose peer does not read.
    """
    passed = dict(fds or {})
    send_encoded(channel, encode(body, passed), list(passed.values()))


def encode(body: Mapping[str, Any], names: Collection[str]) -> bytes:
    """Return an encoded body that names the fds which travel beside it, in their order."""
    return _ENCODER.encode({**body, "fds": [*names]} if names else body).encode()


def send_encoded(channel: socket.socket, encoded: bytes, fds: list[int]) -> None:
    """Send an encoded body with its fds, in the order its `fds` names them."""
    bulk = None
    if len(encoded) > BODY_MAX:
        bulk = memory_file("insula-message", encoded)
        fds = [bulk, *fds]
        encoded = b'{"bulk":true}'
    try:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        channel.sendmsg([encoded], rights)
    finally:
        if bulk is not None:
            os.close(bulk)


IMAGE = "image"
"""The name of the fd of a program's image; `engine.program.image` says what is in it."""
_OF_THE_CLONE = (IMAGE, "cgroup")


def passed_fds(message: Message, *, without: Iterable[str] = ()) -> list[Fd]:
    """Return what of a message is meant for the program itself, in its order; without: names of further others."""
    return [fd for name, fd in message.fds.items() if name not in (*_OF_THE_CLONE, *without)]


def send_go(channel: socket.socket, fds: Sequence[int]) -> None:
    """Send a program what it waits for. Raises: OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([GO], rights)


def receive_encoded(
    channel: socket.socket, *, part_with: Callable[[list[Fd]], None] = close_all
) -> tuple[bytes, list[Fd]] | None:
    """Return the next message's encoded body and fds (close-on-exec), None at the end.

    part_with: closes those of what is no message.
    Raises: OSError; BlockingIOError if none is there on a non-blocking channel; ValueError for a cut message.
    """
    encoded, ancillary, flags, _ = channel.recvmsg(_DATAGRAM_MAX, _ANCILLARY_SIZE, socket.MSG_CMSG_CLOEXEC)
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    fds = [Fd(fd) for fd in received]
    if flags & _CUT:
        part_with(fds)
        raise ValueError("a message was cut on its way")
    if not encoded:
        part_with(fds)
        return None
    if encoded == b'{"bulk":true}':
        if not fds:
            raise ValueError("a message in a file came without the file")
        try:
            encoded = _bulk(fds[0])
        except BaseException:
            part_with(fds)
            raise
        part_with([fds.pop(0)])
    return encoded, fds


def _bulk(fd: Fd) -> bytes:
    """Return what a memory file holds. Raises: ValueError for any other, whose reading might never end, or too much."""
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise ValueError("a message came in a file that is no memory file") from error
    if os.fstat(fd).st_size > BULK_MAX:
        raise ValueError(f"a message is longer than {BULK_MAX} bytes")
    # Whoever sent it may make it longer meanwhile.
    encoded = contents(fd, most=BULK_MAX + 1)
    if len(encoded) > BULK_MAX:
        raise ValueError(f"a message is longer than {BULK_MAX} bytes")
    return encoded


def decode(encoded: bytes, fds: list[Fd]) -> Message:
    """Return the message; closes the fds and raises ValueError if they do not fit what the body says."""
    try:
        body = json.loads(encoded.decode())  # as bytes it could be UTF-32, whose codec the keeper cannot load
        if not isinstance(body, dict):
            raise TypeError("no object")
        names = body.pop("fds", ())
        if len(names) != len(fds):
            raise ValueError(f"{len(fds)} fds came for {len(names)} names")
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(fds):
            raise ValueError("the names of fds are not different texts")
        return Message(body, dict(zip(names, fds, strict=True)))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        close_all(fds)
        raise ValueError(f"not a message: {error}") from error


def receive(channel: socket.socket) -> Message | None:
    """Return the next message, None at the end; see `receive_encoded`."""
    received = receive_encoded(channel)
    return None if received is None else decode(*received)


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error's text and errno as they travel."""
    if isinstance(error, OSError) and error.errno:
        where = f": {error.filename}" if error.filename else ""
        return {"text": f"{error.strerror}{where}", "errno": error.errno}
    return {"text": f"{type(error).__name__}: {error}", "errno": 0}
