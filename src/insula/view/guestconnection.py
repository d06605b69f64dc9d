"""One guest's connection: the kernel's requests about its view, and the answers that a tree of files gives."""

import errno
import logging
import os
import select
import stat
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from insula.kernel import fuse
from insula.kernel.fds import Fd
from insula.kernel.fuse import FuseRequest, FuseVerb, NodeAttributes
from insula.view.nodenumbers import NodeNumbers
from insula.view.requestnotes import RequestNotes, Waiter, WaiterKind
from insula.view.viewedfiles import (
    WOULD_BLOCK,
    StreamWriter,
    ViewedContent,
    ViewedGuest,
    ViewedKind,
    ViewedStream,
    missing,
)

logger = logging.getLogger(__name__)

_STEADY, _CHANGING = 3600, 1
"""Seconds that the kernel may believe an entry: what is below sys comes and goes with processors."""
_SYS, _PROC = "sys/", "proc/"
_SYS_SIZE = 4096
"""What sysfs says of each of its files."""
END_OF_STREAM = 1 << 40
"""A stream's size, and so where a seek to its end leads: the kernel does not ask, it tells with the next read."""
_CONTENTS_MAX, _CONTENT_BYTES_MAX = 256, 2 * 1024 * 1024
"""What one guest's readers have of contents between two reads; beyond, the oldest is made anew when it is read on."""
_MEASURED = 0.1
"""Seconds for which a content whose size was told is the one that is read."""
_STREAMS_MAX = 256
"""Streams that one guest has open."""
_MODES: Mapping[ViewedKind, int] = {
    ViewedKind.DIRECTORY: stat.S_IFDIR | 0o555,
    ViewedKind.FILE: stat.S_IFREG | 0o444,
    ViewedKind.LINK: stat.S_IFLNK | 0o777,
    ViewedKind.STREAM: stat.S_IFREG | 0o644,
}
_READABLE = select.POLLIN | select.POLLRDNORM
_WRITABLE = select.POLLOUT | select.POLLWRNORM


class _OpenStream:
    """expected: the offset of the next read unless its opener has sought."""

    __slots__ = ("expected", "handle", "stream")

    def __init__(self, stream: ViewedStream, handle: object, expected: int) -> None:
        self.stream, self.handle, self.expected = stream, handle, expected


class GuestConnection:
    """A connection that is served. It has descriptors of its own, and ends with its mount.

    No answer waits for anything. Who reads a stream that has nothing waits in the notes, with a bound for each guest.
    """

    def __init__(
        self, guest: ViewedGuest, content: ViewedContent, device: Fd, memory: Fd, numbers: NodeNumbers
    ) -> None:
        """memory: of `requestnotes.make_memory`. Raises: OSError, ValueError; the descriptors are the caller's then."""
        self._notes = RequestNotes(memory)
        self.guest, self.tree = guest, content.tree(guest, memory)
        self.device, self._memory = device, memory
        self._numbers = numbers
        self._owner = guest.root
        self._contents: OrderedDict[int, bytes] = OrderedDict()
        self._held = 0
        self._measured: dict[str, tuple[float, bytes]] = {}
        """Contents whose sizes were told a moment ago, by path, and until when they are the ones to be read."""
        self._streams: dict[int, _OpenStream] = {}
        self._began = self._last_handle = time.monotonic_ns()
        """Handles up to this one are of earlier views: files stay open across views."""
        self._verbs: dict[int, Callable[[FuseRequest], bytes | None]] = {
            FuseVerb.LOOKUP: self._look_up,
            FuseVerb.GETATTR: self._attributes,
            FuseVerb.READLINK: self._target,
            FuseVerb.OPEN: self._open,
            FuseVerb.OPENDIR: lambda request: fuse.open_answer(0, direct=False),
            FuseVerb.READ: self._read,
            FuseVerb.READDIR: self._entries,
            FuseVerb.WRITE: self._write,
            FuseVerb.LSEEK: self._seek,
            FuseVerb.POLL: self._poll,
            FuseVerb.RELEASE: self._release,
            FuseVerb.RELEASEDIR: lambda request: b"",
            FuseVerb.STATFS: lambda request: fuse.statfs_answer(),
            FuseVerb.INIT: lambda request: fuse.init_answer(request.body),
            FuseVerb.DESTROY: lambda request: b"",
            FuseVerb.SETATTR: self._keep_attributes,
        }
        """What is not here is refused once, and not asked again: ENOSYS."""

    def redirect(self, guest: ViewedGuest, content: ViewedContent) -> None:
        """Answer as another description of the guest has it from now on."""
        if guest == self.guest:
            return
        self._drop_streams()
        self.tree.close()
        self.guest, self.tree, self._owner = guest, content.tree(guest, self._memory), guest.root
        self.stirred()

    def resume(self) -> None:
        """Answer what a former view has taken and not answered."""
        underway = self._notes.underway()
        if underway is not None:
            self._serve(underway)
        self.stirred()

    def turn(self) -> bool:
        """Take one request, if any is there, and answer it; return False once the connection has ended."""
        try:
            data = self._notes.receive(self.device)
        except OSError as error:
            # ENOENT: the asker has gone while it was read.
            return error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT)
        if data:
            self._serve(data)
        return bool(data)

    def stirred(self) -> None:
        """Serve those who wait for streams, as far as there is something now."""
        for waiter in self._notes.waiters():
            try:
                self._serve_waiter(waiter)
            except OSError as error:
                self._notes.remove(waiter)
                if waiter.kind is WaiterKind.READER:
                    self._send(fuse.failure(waiter.name, error.errno or errno.EIO))

    def close(self) -> None:
        """Let go of everything; who waits in the notes waits for the next view."""
        self._drop_streams()
        self.tree.close()
        self._notes.close()
        os.close(self.device)
        os.close(self._memory)

    # Requests and answers

    def _serve(self, data: bytes) -> None:
        try:
            request = fuse.parsed(data)
        except struct.error:
            self._notes.settled()
            return
        answer = self._answer(request)
        if answer is not None:
            self._send(answer)
        self._notes.settled()

    def _answer(self, request: FuseRequest) -> bytes | None:
        if request.opcode in (FuseVerb.FORGET, FuseVerb.BATCH_FORGET):
            return None  # the kernel expects no answer, and numbers follow from paths
        if request.opcode == FuseVerb.INTERRUPT:
            return self._interrupt(fuse.first_number(request.body))
        verb = self._verbs.get(request.opcode)
        try:
            if verb is None:
                raise OSError(errno.ENOSYS, "not a verb of a view")
            content = verb(request)
        except OSError as error:
            return fuse.failure(request.unique, error.errno or errno.EIO)
        except Exception:
            # Whatever it is, the others are served on, and this asker must not wait for ever.
            logger.exception("%s: request %d about node %d", self.guest.name, request.opcode, request.node)
            return fuse.failure(request.unique, errno.EIO)
        return None if content is None else fuse.answer(request.unique, content)

    def _send(self, answer: bytes) -> None:
        try:
            os.write(self.device, answer)
        except OSError as error:
            # The asker, or the whole connection, has gone; or a former view had answered right before its end.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ECONNABORTED):
                logger.warning("%s: an answer was not taken: %s", self.guest.name, error)

    # Nodes

    def _path(self, node: int) -> str:
        return self._numbers.path(node, self.tree)

    def _known(self, path: str) -> ViewedKind:
        kind = self.tree.kind(path)
        if kind is None:
            raise missing(path)
        return kind

    def _described(self, path: str, kind: ViewedKind) -> NodeAttributes:
        size = END_OF_STREAM if kind is ViewedKind.STREAM else _SYS_SIZE if path.startswith(_SYS) else 0
        if _is_measured(path, kind):
            content = self.tree.content(path)
            self._measured[path] = (time.monotonic() + _MEASURED, content)
            size = len(content)
        return NodeAttributes(self._numbers.number(path), _mode(path, kind), size, *self._owner)

    def _look_up(self, request: FuseRequest) -> bytes:
        parent, name = self._path(request.node), os.fsdecode(request.body.split(b"\0", 1)[0])
        path = f"{parent}/{name}" if parent else name
        kind = self._known(path)
        seconds = 0 if _is_measured(path, kind) else _validity(path)
        return fuse.entry_answer(self._described(path, kind), _validity(path), seconds)

    def _attributes(self, request: FuseRequest) -> bytes:
        path = self._path(request.node)
        kind = self._known(path)
        seconds = 0 if _is_measured(path, kind) else _validity(path)
        return fuse.attributes_answer(self._described(path, kind), seconds)

    def _keep_attributes(self, request: FuseRequest) -> bytes:
        """Answer who opens a stream to write it anew, as a shell does: nothing is cut. All else is refused."""
        path = self._path(request.node)
        if self._known(path) is not ViewedKind.STREAM:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)
        return self._attributes(request)

    def _target(self, request: FuseRequest) -> bytes:
        return os.fsencode(self.tree.target(self._path(request.node)))

    def _entries(self, request: FuseRequest) -> bytes:
        asked, path = fuse.read_request(request.body), self._path(request.node)
        entries, size = [], 0
        for place, name in enumerate((".", "..", *self.tree.names(path))[asked.offset :], asked.offset + 1):
            below = path if name in (".", "..") else f"{path}/{name}" if path else name
            kind = self.tree.kind(below)
            if kind is None:
                continue  # it went meanwhile
            entry = fuse.directory_entry(self._numbers.number(below), place, os.fsencode(name), _mode(below, kind))
            size += len(entry)
            if size > asked.size:
                break
            entries.append(entry)
        return b"".join(entries)

    # Open files

    def _open(self, request: FuseRequest) -> bytes:
        path = self._path(request.node)
        kind = self._known(path)
        if kind is ViewedKind.STREAM:
            if len(self._streams) >= _STREAMS_MAX:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
            stream = self.tree.stream(path)
            handle = self._next_handle()
            self._streams[handle] = _OpenStream(stream, stream.open(), 0)
            return fuse.open_answer(handle, direct=True)
        if fuse.open_flags(request.body) & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
        return fuse.open_answer(self._next_handle(), direct=True)

    def _next_handle(self) -> int:
        self._last_handle += 1
        return self._last_handle

    def _read(self, request: FuseRequest) -> bytes | None:
        asked = fuse.read_request(request.body)
        content = self._contents.get(asked.handle) if asked.offset else None
        if content is None:
            path = self._path(request.node)
            former = asked.handle <= self._began
            if asked.handle in self._streams or (former and self._known(path) is ViewedKind.STREAM):
                return self._read_stream(request, asked)
            until, measured = self._measured.pop(path, (0.0, b""))
            content = measured if time.monotonic() < until else self.tree.content(path)
            self._hold(asked.handle, content)
        return content[asked.offset : asked.offset + asked.size]

    def _hold(self, handle: int, content: bytes) -> None:
        self._let_go(handle)
        self._contents[handle] = content
        self._held += len(content)
        while len(self._contents) > 1 and (len(self._contents) > _CONTENTS_MAX or self._held > _CONTENT_BYTES_MAX):
            self._held -= len(self._contents.popitem(last=False)[1])

    def _let_go(self, handle: int) -> None:
        content = self._contents.pop(handle, None)
        if content is not None:
            self._held -= len(content)

    def _release(self, request: FuseRequest) -> bytes:
        handle = fuse.first_number(request.body)
        self._let_go(handle)
        opened = self._streams.pop(handle, None)
        if opened is not None:
            opened.stream.close(opened.handle)
        for waiter in self._notes.waiters():
            if waiter.handle == handle:
                self._notes.remove(waiter)
        return b""

    # Streams

    def _opened(self, node: int, handle: int, offset: int) -> _OpenStream:
        """Return the stream behind a handle; one that a former view opened is opened again, at the same place."""
        opened = self._streams.get(handle)
        if opened is None:
            stream = self.tree.stream(self._path(node))
            at_end = offset >= END_OF_STREAM
            opened = _OpenStream(stream, stream.open(taken=None if at_end else offset), offset)
            if at_end:
                stream.seek(opened.handle, 0, os.SEEK_END)
            self._streams[handle] = opened
        return opened

    def _read_stream(self, request: FuseRequest, asked: fuse.ReadRequest) -> bytes | None:
        opened = self._opened(request.node, asked.handle, asked.offset)
        if asked.offset != opened.expected:
            end = asked.offset >= END_OF_STREAM
            opened.stream.seek(opened.handle, 0 if end else asked.offset, os.SEEK_END if end else os.SEEK_SET)
        opened.expected = asked.offset
        content = opened.stream.read(opened.handle, asked.size)
        if content is WOULD_BLOCK:
            waiter = Waiter(WaiterKind.READER, asked.size, request.unique, request.node, asked.handle, asked.offset)
            if asked.flags & os.O_NONBLOCK or not self._notes.add(waiter):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return None
        opened.expected += len(content)
        return content

    def _serve_waiter(self, waiter: Waiter) -> None:
        opened = self._opened(waiter.node, waiter.handle, waiter.offset)
        if waiter.kind is WaiterKind.POLLER:
            if opened.stream.readable(opened.handle):
                self._notes.remove(waiter)
                self._send(fuse.poll_wake(waiter.name))
            return
        content = opened.stream.read(opened.handle, waiter.size)
        if content is not WOULD_BLOCK:
            opened.expected = waiter.offset + len(content)
            self._send(fuse.answer(waiter.name, content))
            self._notes.remove(waiter)

    def _interrupt(self, unique: int) -> bytes | None:
        for waiter in self._notes.waiters():
            if waiter.kind is WaiterKind.READER and waiter.name == unique:
                self._notes.remove(waiter)
                return fuse.failure(unique, errno.EINTR)
        return None

    def _write(self, request: FuseRequest) -> bytes:
        handle, offset, data = fuse.write_request(request.body)
        opened = self._opened(request.node, handle, offset)
        written = opened.stream.write(opened.handle, data, StreamWriter(pid=request.pid, uid=request.uid))
        opened.expected = offset + written  # the opener's place moves by what it writes, and that is no seek
        self.stirred()
        return fuse.write_answer(written)

    def _seek(self, request: FuseRequest) -> bytes:
        handle, offset, whence = fuse.lseek_request(request.body)
        opened = self._opened(request.node, handle, 0)
        opened.expected = opened.stream.seek(opened.handle, offset, whence)
        return fuse.lseek_answer(opened.expected)

    def _poll(self, request: FuseRequest) -> bytes:
        asked, path = fuse.poll_request(request.body), self._path(request.node)
        if self._known(path) is not ViewedKind.STREAM:
            return fuse.poll_answer(_READABLE | _WRITABLE)
        opened = self._opened(request.node, asked.handle, 0)
        if opened.stream.readable(opened.handle):
            return fuse.poll_answer(_READABLE | _WRITABLE)
        if asked.schedules:
            for former in self._notes.waiters():
                if former.kind is WaiterKind.POLLER and former.name == asked.wake:
                    self._notes.remove(former)
            waiter = Waiter(WaiterKind.POLLER, 0, asked.wake, request.node, asked.handle, opened.expected)
            if not self._notes.add(waiter):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), path)
        return fuse.poll_answer(_WRITABLE)

    def _drop_streams(self) -> None:
        for opened in self._streams.values():
            opened.stream.close(opened.handle)
        self._streams.clear()


def _is_measured(path: str, kind: ViewedKind) -> bool:
    """Whether a file's size is that of its content. The kernel serves sendfile(2) and splice(2), by which busybox' cat
    and cp read, through its page cache, up to the size that it knows: of a size of 0 nothing."""
    return kind is ViewedKind.FILE and path.startswith(_PROC)


def _mode(path: str, kind: ViewedKind) -> int:
    """Return type and permissions: what proc has as a stream, /proc/kmsg, is for the guest's root alone, as there."""
    return stat.S_IFREG | 0o400 if kind is ViewedKind.STREAM and path.startswith(_PROC) else _MODES[kind]


def _validity(path: str) -> int:
    return _CHANGING if path.startswith(_SYS) else _STEADY
