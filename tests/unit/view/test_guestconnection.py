"""Requests of the kernel's, played by a test over a socket in place of /dev/fuse."""

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator

import pytest

from insula.kernel.fds import Fd
from insula.kernel.fuse import FuseVerb
from insula.view.guestconnection import END_OF_STREAM, GuestConnection
from insula.view.nodenumbers import NodeNumbers, numbered
from insula.view.requestnotes import make_memory
from tests.viewtrees import LONG, SmallContent, SmallTree, viewed_guest

_HEADER = struct.Struct("<IIQQIIIHH")
KMSG, UPTIME, LONG_FILE = numbered("dev/kmsg"), numbered("proc/uptime"), numbered("proc/long")


class Kernel:
    """Asks a connection, and tells what it answers."""

    def __init__(self) -> None:
        self.end, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.setblocking(False)
        device.setblocking(False)
        self.memory = make_memory()
        self.content = SmallContent()
        self.device = device
        self.last = 0
        self.connection = self.connect()

    def connect(self) -> GuestConnection:
        fds = Fd(os.dup(self.device.fileno())), Fd(os.dup(self.memory))
        return GuestConnection(viewed_guest(), self.content, *fds, NodeNumbers())

    @property
    def tree(self) -> SmallTree:
        return self.content.trees[-1]

    def take_over(self) -> None:
        self.connection.close()
        self.connection = self.connect()
        self.connection.resume()

    def put(self, opcode: int, node: int, body: bytes) -> int:
        self.last += 2
        self.end.send(_HEADER.pack(_HEADER.size + len(body), opcode, self.last, node, 1000, 1000, 4711, 0, 0) + body)
        return self.last

    def answered(self) -> tuple[int, int, bytes] | None:
        """Return errno, unique and content of the next answer, None if there is none."""
        try:
            said = self.end.recv(1 << 20)
        except BlockingIOError:
            return None
        length, number, unique = struct.unpack_from("<IiQ", said)
        assert length == len(said)
        return -number, unique, said[16:]

    def ask(self, opcode: int, node: int, body: bytes = b"") -> bytes:
        unique = self.put(opcode, node, body)
        assert self.connection.turn()
        answer = self.answered()
        assert answer is not None
        assert answer[1] == unique
        if answer[0]:
            raise OSError(answer[0], os.strerror(answer[0]))
        return answer[2]

    def open(self, node: int, flags: int = os.O_RDONLY) -> int:
        handle: int = struct.unpack_from("<Q", self.ask(FuseVerb.OPEN, node, struct.pack("<II", flags, 0)))[0]
        return handle

    def close(self) -> None:
        self.connection.close()
        self.end.close()
        self.device.close()
        os.close(self.memory)


def reading(handle: int, offset: int = 0, size: int = 4096, flags: int = 0) -> bytes:
    return struct.pack("<QQIIQII", handle, offset, size, 0, 0, flags, 0)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def test_a_path_is_looked_up_name_by_name(kernel: Kernel) -> None:
    (proc,) = struct.unpack_from("<Q", kernel.ask(FuseVerb.LOOKUP, 1, b"proc\0"))
    assert struct.unpack_from("<Q", kernel.ask(FuseVerb.LOOKUP, proc, b"uptime\0"))[0] == UPTIME
    with pytest.raises(FileNotFoundError):
        kernel.ask(FuseVerb.LOOKUP, proc, b"absent\0")


def test_a_file_is_read_in_parts_of_one_content(kernel: Kernel) -> None:
    count = numbered("proc/count")
    handle = kernel.open(count)
    assert kernel.ask(FuseVerb.READ, count, reading(handle, 0, 1)) == b"1"
    assert kernel.ask(FuseVerb.READ, count, reading(handle, 1, 10)) == b"\n"
    assert kernel.ask(FuseVerb.READ, count, reading(handle, 0, 10)) == b"2\n"


def test_contents_between_two_reads_have_a_bound(kernel: Kernel) -> None:
    handles = [kernel.open(LONG_FILE) for _ in range(20)]
    for handle in handles:
        kernel.ask(FuseVerb.READ, LONG_FILE, reading(handle, 0, 10))
    for handle in handles:
        assert kernel.ask(FuseVerb.READ, LONG_FILE, reading(handle, 16, 16)) == LONG[16:32]
        assert kernel.ask(FuseVerb.RELEASE, LONG_FILE, reading(handle)[:24]) == b""
    assert kernel.connection._held <= 2 * 1024 * 1024


def test_only_streams_are_opened_for_writing(kernel: Kernel) -> None:
    with pytest.raises(PermissionError):
        kernel.open(UPTIME, os.O_RDWR)
    assert kernel.open(KMSG, os.O_RDWR)


def test_a_verb_that_a_view_has_not_is_told_so(kernel: Kernel) -> None:
    with pytest.raises(OSError, match="Function not") as raised:
        kernel.ask(9, 1, b"\0" * 64)  # mkdir
    assert raised.value.errno == errno.ENOSYS


def test_a_fault_of_the_content_is_answered_as_an_error(kernel: Kernel) -> None:
    node = numbered("proc/broken")
    with pytest.raises(OSError, match="Input/output") as raised:
        kernel.ask(FuseVerb.READ, node, reading(kernel.open(node)))
    assert raised.value.errno == errno.EIO


def test_forgetting_needs_no_answer(kernel: Kernel) -> None:
    kernel.put(FuseVerb.FORGET, UPTIME, struct.pack("<Q", 1))
    assert kernel.connection.turn()
    assert kernel.answered() is None


def test_the_end_of_a_connection_is_told(kernel: Kernel) -> None:
    assert kernel.connection.turn(), "nothing was asked"
    directory = os.open("/proc/self", os.O_RDONLY)
    os.dup2(directory, kernel.connection.device)  # reading it fails
    os.close(directory)
    assert not kernel.connection.turn()


def test_what_was_taken_and_not_answered_is_answered_by_the_next(kernel: Kernel) -> None:
    handle = kernel.open(UPTIME)
    unique = kernel.put(FuseVerb.READ, UPTIME, reading(handle))
    kernel.connection._notes.receive(kernel.connection.device)  # as far as one came that was killed
    kernel.take_over()
    assert kernel.answered() == (0, unique, b"1.00 2.00\n")


def test_a_reader_waits_until_there_is_something_also_across_views(kernel: Kernel) -> None:
    handle = kernel.open(KMSG)
    assert kernel.ask(FuseVerb.READ, KMSG, reading(handle)) == b"first\n"
    unique = kernel.put(FuseVerb.READ, KMSG, reading(handle, 6))
    assert kernel.connection.turn()
    assert kernel.answered() is None
    kernel.take_over()
    assert kernel.answered() is None
    kernel.tree.tell("second")
    kernel.connection.stirred()
    assert kernel.answered() == (0, unique, b"second\n")


def test_a_reader_that_does_not_wait_is_told_to_come_again(kernel: Kernel) -> None:
    handle = kernel.open(KMSG)
    kernel.ask(FuseVerb.READ, KMSG, reading(handle))
    with pytest.raises(BlockingIOError):
        kernel.ask(FuseVerb.READ, KMSG, reading(handle, 6, flags=os.O_NONBLOCK))


def test_a_reader_that_is_interrupted_waits_no_more(kernel: Kernel) -> None:
    handle = kernel.open(KMSG)
    kernel.ask(FuseVerb.READ, KMSG, reading(handle))
    unique = kernel.put(FuseVerb.READ, KMSG, reading(handle, 6))
    kernel.connection.turn()
    kernel.put(FuseVerb.INTERRUPT, 0, struct.pack("<Q", unique))
    kernel.connection.turn()
    assert kernel.answered() == (errno.EINTR, unique, b"")
    kernel.tree.tell("second")
    kernel.connection.stirred()
    assert kernel.answered() is None


def test_a_poller_is_woken_once(kernel: Kernel) -> None:
    handle = kernel.open(KMSG)
    asked = struct.pack("<QQII", handle, 99, 1, 1)
    assert struct.unpack_from("<I", kernel.ask(FuseVerb.POLL, KMSG, asked))[0] & select.POLLIN
    kernel.ask(FuseVerb.READ, KMSG, reading(handle))
    assert not struct.unpack_from("<I", kernel.ask(FuseVerb.POLL, KMSG, asked))[0] & select.POLLIN
    kernel.tree.tell("second")
    kernel.connection.stirred()
    assert kernel.answered() == (-1, 0, struct.pack("<Q", 99))
    kernel.connection.stirred()
    assert kernel.answered() is None


def test_seeks_that_the_kernel_does_not_tell_are_seen_by_the_next_read(kernel: Kernel) -> None:
    handle = kernel.open(KMSG)
    with pytest.raises(BlockingIOError):
        kernel.ask(FuseVerb.READ, KMSG, reading(handle, END_OF_STREAM, flags=os.O_NONBLOCK))
    assert kernel.ask(FuseVerb.READ, KMSG, reading(handle, 0)) == b"first\n"
    assert kernel.ask(FuseVerb.LSEEK, KMSG, struct.pack("<QQII", handle, 0, 3, 0)) == struct.pack("<Q", 0)


def test_what_is_written_names_its_writer_and_is_no_seek(kernel: Kernel) -> None:
    handle = kernel.open(KMSG, os.O_RDWR)
    assert kernel.ask(FuseVerb.READ, KMSG, reading(handle)) == b"first\n"
    body = struct.pack("<QQIIQII", handle, 6, 2, 0, 0, 0, 0) + b"x\n"
    assert kernel.ask(FuseVerb.WRITE, KMSG, body) == struct.pack("<II", 2, 0)
    assert kernel.ask(FuseVerb.READ, KMSG, reading(handle, 8)) == b"x\n"
    assert (kernel.tree.line_stream.writers[0].pid, kernel.tree.line_stream.writers[0].uid) == (4711, 1000)


def test_a_guest_that_is_described_anew_has_another_tree(kernel: Kernel) -> None:
    former = kernel.tree
    kernel.connection.redirect(viewed_guest(), kernel.content)
    assert kernel.tree is former, "the same description"
    kernel.connection.redirect(viewed_guest(pid=2), kernel.content)
    assert former.closed
    assert kernel.tree is not former


def test_links_directories_and_attributes(kernel: Kernel) -> None:
    assert kernel.ask(FuseVerb.READLINK, numbered("proc/below/link")) == b"../uptime"
    entries = kernel.ask(FuseVerb.READDIR, numbered("proc"), reading(0, 0, 4096))
    assert b"uptime" in entries
    assert kernel.ask(FuseVerb.READDIR, numbered("proc"), reading(0, 100, 4096)) == b""
    assert len(kernel.ask(FuseVerb.GETATTR, UPTIME, bytes(16))) == 104
    with pytest.raises(PermissionError):
        kernel.ask(FuseVerb.SETATTR, UPTIME, bytes(88))
    assert len(kernel.ask(FuseVerb.SETATTR, KMSG, bytes(88))) == 104
    assert kernel.ask(FuseVerb.STATFS, 1)
    assert kernel.ask(FuseVerb.OPENDIR, 1, bytes(8)) == bytes(16)
    assert kernel.ask(FuseVerb.RELEASEDIR, 1, bytes(24)) == b""
    assert kernel.ask(FuseVerb.DESTROY, 1) == b""
