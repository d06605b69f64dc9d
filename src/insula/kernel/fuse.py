"""The kernel's words for file systems that a process serves: requests read from /dev/fuse, and answers written to it.

A connection is an open file of /dev/fuse with a mount that belongs to it; whoever has a descriptor of the former serves
the latter, and with the last descriptor the connection ends (every waiting reader gets ECONNABORTED).
Sources: linux/fuse.h (protocol 7.31 and later), kernel documents `filesystems/fuse`, fuse(4).
"""

import os
import stat
import struct
from enum import IntEnum
from typing import NamedTuple

from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, make_filesystem

ROOT_NODE = 1
DEVICE = "/dev/fuse"
SEEK_DATA, SEEK_HOLE = 3, 4


class FuseVerb(IntEnum):
    """What is asked, by its opcode. Source: enum fuse_opcode."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    POLL = 40
    BATCH_FORGET = 42
    LSEEK = 46


class FuseRequest(NamedTuple):
    """One request. unique: names it in the answer; uid, gid, pid: the asker's on the host, pid 0 if it has none."""

    opcode: int
    unique: int
    node: int
    uid: int
    gid: int
    pid: int
    body: bytes


_REQUEST = struct.Struct("<IIQQIIIHH")
"""struct fuse_in_header: length, opcode, unique, node, uid, gid, pid, and two that are of no use here."""
REQUEST_MAX = 8192 + 4096
"""Bytes of a buffer that any request fits in: what the kernel wants at least, and what may be written at once."""
WRITE_MAX = 4096
_ANSWER = struct.Struct("<IiQ")
"""struct fuse_out_header: length, negative errno, unique."""
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHIII20x")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_ATTRIBUTES_VALID = struct.Struct("<QII")
_OPEN_IN = struct.Struct("<II")
_OPEN_OUT = struct.Struct("<QII")
_READ_IN = struct.Struct("<QQIIQI4x")
_WRITE_IN = struct.Struct("<QQIIQI4x")
_WRITE_OUT = struct.Struct("<II")
_LSEEK_IN = struct.Struct("<QQI4x")
_OFFSET = struct.Struct("<Q")
_POLL_IN = struct.Struct("<QQII")
_POLL_OUT = struct.Struct("<II")
_ENTRY_OF_DIRECTORY = struct.Struct("<QQII")
_STATFS_OUT = struct.Struct("<QQQQQIIII24x")

_MINOR = 31
"""Of the protocol that is spoken: Linux 5.4. What came later is not used."""
_INIT_ATOMIC_TRUNCATION, _INIT_PARALLEL_DIRECTORIES = 1 << 3, 1 << 18
OPEN_DIRECT = 1
"""FOPEN_DIRECT_IO: each read asks, whatever was read before and however large the file seems."""
POLL_SCHEDULES = 1
_NOTIFY_POLL = 1

_TYPES = {stat.S_IFDIR: 4, stat.S_IFREG: 8, stat.S_IFLNK: 10}
"""By modes, of directories' entries: readdir(3), DT_DIR and others."""


def is_there() -> bool:
    """Tell whether a connection can be made: by opening the device, unless that would have the kernel load a module."""
    if not os.path.exists(DEVICE):
        return False
    with open("/proc/filesystems", encoding="ascii") as listing:
        if "fuse" not in listing.read().split():
            return True  # its node stands for a module that the first connection loads
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def connect(name: str) -> tuple[Fd, Fd]:
    """Return a connection's descriptor, which does not wait, and its mount, attached nowhere; the caller closes both.

    name: shown as the source. Every user of the host or of a guest may read it, as the files' modes say.
    Raises: OSError where the kernel has no FUSE, or we may not mount it.
    """
    device = Fd(os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        options: list[tuple[str, str | int | None]] = [
            ("source", name),
            ("fd", str(device)),
            ("rootmode", f"{stat.S_IFDIR:o}"),
            ("user_id", "0"),
            ("group_id", "0"),
            ("allow_other", None),
            ("default_permissions", None),
        ]
        harmless = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC
        return device, make_filesystem("fuse", options, attributes=harmless)
    except BaseException:
        os.close(device)
        raise


def parsed(data: bytes) -> FuseRequest:
    """Return the request that was read. Raises: struct.error if it is cut."""
    length, opcode, unique, node, uid, gid, pid, _, _ = _REQUEST.unpack_from(data)
    return FuseRequest(opcode, unique, node, uid, gid, pid, data[_REQUEST.size : length])


def answer(unique: int, content: bytes) -> bytes:
    """Return an answer to be written at once."""
    return _ANSWER.pack(_ANSWER.size + len(content), 0, unique) + content


def failure(unique: int, number: int) -> bytes:
    """Return the answer that something failed. number: an errno."""
    return _ANSWER.pack(_ANSWER.size, -number, unique)


def poll_wake(handle: int) -> bytes:
    """Return the notice that a polled file may have become ready. handle: the kernel's, of the POLL."""
    return _ANSWER.pack(_ANSWER.size + _OFFSET.size, _NOTIFY_POLL, 0) + _OFFSET.pack(handle)


def init_answer(body: bytes) -> bytes:
    """Return the content of the answer to INIT. Raises: ValueError if the kernel speaks another protocol."""
    major, minor, ahead, flags = _INIT_IN.unpack_from(body)
    if major != 7 or minor < _MINOR:
        raise ValueError(f"the kernel speaks version {major}.{minor} of FUSE, not 7.{_MINOR}")
    wanted = flags & (_INIT_ATOMIC_TRUNCATION | _INIT_PARALLEL_DIRECTORIES)
    return _INIT_OUT.pack(7, _MINOR, ahead, wanted, 16, 12, WRITE_MAX, 1, 0, 0, 0, 0, 0)


class NodeAttributes(NamedTuple):
    """What stat(2) says of a node. mode: with the file type; uid, gid: the host's."""

    node: int
    mode: int
    size: int
    uid: int
    gid: int


def _packed(of: NodeAttributes) -> bytes:
    links = 2 if stat.S_ISDIR(of.mode) else 1
    return _ATTRIBUTES.pack(of.node, of.size, 0, 0, 0, 0, 0, 0, 0, of.mode, links, of.uid, of.gid, 0, 4096, 0)


def entry_answer(of: NodeAttributes, seconds: int, attribute_seconds: int | None = None) -> bytes:
    """Return the content of the answer to LOOKUP. seconds: how long the kernel may believe it; attribute_seconds: how
    long what stat(2) says of it, if that is another time."""
    return _ENTRY.pack(
        of.node, 0, seconds, seconds if attribute_seconds is None else attribute_seconds, 0, 0
    ) + _packed(of)


def attributes_answer(of: NodeAttributes, seconds: int) -> bytes:
    """Return the content of the answer to GETATTR; seconds: as above."""
    return _ATTRIBUTES_VALID.pack(seconds, 0, 0) + _packed(of)


def open_flags(body: bytes) -> int:
    """Return the flags of open(2) that OPEN brings."""
    flags: int = _OPEN_IN.unpack_from(body)[0]
    return flags


def open_answer(handle: int, *, direct: bool) -> bytes:
    """Return the content of the answer to OPEN and OPENDIR."""
    return _OPEN_OUT.pack(handle, OPEN_DIRECT if direct else 0, 0)


class ReadRequest(NamedTuple):
    """What READ and READDIR bring. flags: of the open file, such as O_NONBLOCK."""

    handle: int
    offset: int
    size: int
    flags: int


def read_request(body: bytes) -> ReadRequest:
    handle, offset, size, _, _, flags = _READ_IN.unpack_from(body)
    return ReadRequest(handle, offset, size, flags)


def write_request(body: bytes) -> tuple[int, int, bytes]:
    """Return the handle, the offset and the bytes that WRITE brings."""
    handle, offset, size, _, _, _ = _WRITE_IN.unpack_from(body)
    return handle, offset, body[_WRITE_IN.size : _WRITE_IN.size + size]


def write_answer(size: int) -> bytes:
    return _WRITE_OUT.pack(size, 0)


def lseek_request(body: bytes) -> tuple[int, int, int]:
    """Return handle, offset and whence; the kernel asks for SEEK_DATA and SEEK_HOLE only."""
    handle, offset, whence = _LSEEK_IN.unpack_from(body)
    return handle, offset, whence


def lseek_answer(offset: int) -> bytes:
    return _OFFSET.pack(offset)


class PollRequest(NamedTuple):
    """What POLL brings. wake: the kernel's handle, for `poll_wake`; schedules: whether it wants to be woken."""

    handle: int
    wake: int
    schedules: bool


def poll_request(body: bytes) -> PollRequest:
    handle, wake, flags, _ = _POLL_IN.unpack_from(body)
    return PollRequest(handle, wake, bool(flags & POLL_SCHEDULES))


def poll_answer(events: int) -> bytes:
    return _POLL_OUT.pack(events, 0)


def first_number(body: bytes) -> int:
    """Return the 64 bits that a body begins with: RELEASE's handle, INTERRUPT's unique."""
    number: int = _OFFSET.unpack_from(body)[0]
    return number


def directory_entry(node: int, place: int, name: bytes, mode: int) -> bytes:
    """Return one entry of READDIR's content. place: where reading goes on behind it; mode: its file type."""
    entry = _ENTRY_OF_DIRECTORY.pack(node, place, len(name), _TYPES[stat.S_IFMT(mode)]) + name
    return entry + bytes(-len(entry) % 8)


def statfs_answer() -> bytes:
    """Return the content of the answer to STATFS: of what takes no space."""
    return _STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0)
