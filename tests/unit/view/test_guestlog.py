"""A guest's own /dev/kmsg."""

import errno
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.guestlog import GuestLog
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import WOULD_BLOCK, StreamWriter, ViewedGuest, WouldBlockType
from tests.examples import FEW, examples
from tests.unit.view.test_viewedfiles import GUEST

WRITER = StreamWriter(pid=1, uid=0)


def log(size: int = 8192, guest: ViewedGuest = GUEST) -> GuestLog:
    return GuestLog(guest, MessageRing(memoryview(bytearray(size))))


def texts(stream: GuestLog, handle: object) -> list[bytes]:
    found = []
    while (line := stream.read(handle, 8192)) is not WOULD_BLOCK:
        assert not isinstance(line, WouldBlockType)
        found.append(line.partition(b";")[2])
    return found


def test_a_log_begins_by_saying_whose_it_is() -> None:
    stream = log()
    first = stream.read(stream.open(), 8192)
    assert re.fullmatch(rb"5,0,\d+,-;Linux version \S+: the log of guest 'web' begins\n", bytes(str_or(first)))


def str_or(line: "bytes | WouldBlockType") -> bytes:
    assert not isinstance(line, WouldBlockType)
    return line


@pytest.mark.parametrize(
    ("written", "priority", "text"),
    [
        (b"plain\n", 12, b"plain"),
        (b"<4>warned\n", 12, b"warned"),
        (b"<0>as the kernel", 8, b"as the kernel"),
        (b"<30>of a daemon", 30, b"of a daemon"),
        (b"<>x", 12, b"<>x"),
        (b"<999999999999>x", 12, b"<999999999999>x"),
        (b"two\nlines\n", 12, b"two\\x0alines"),
        (b"", 12, b""),
    ],
)
def test_what_a_guest_writes_is_never_of_the_kernels_facility(written: bytes, priority: int, text: bytes) -> None:
    stream = log()
    handle = stream.open()
    stream.seek(handle, 0, os.SEEK_END)
    assert stream.write(handle, written, WRITER) == len(written)
    line = str_or(stream.read(handle, 8192))
    assert line.startswith(b"%d,1," % priority)
    assert line.endswith(b",-;%s\n" % text)


def test_what_the_host_tells_is_of_the_kernels_facility() -> None:
    stream = log()
    stream.tell("memory limit: 512 MiB")
    assert re.search(rb"\n6,1,\d+,-;memory limit: 512 MiB\n$", stream.text())


def test_each_opener_has_a_place_of_its_own() -> None:
    stream = log()
    one, other = stream.open(), stream.open()
    stream.tell("a")
    assert texts(stream, one)[1:] == [b"a\n"]
    assert not stream.readable(one)
    assert stream.readable(other)
    stream.tell("b")
    assert stream.readable(one)
    assert texts(stream, one) == [b"b\n"]
    assert texts(stream, other)[1:] == [b"a\n", b"b\n"]


def test_who_falls_behind_is_told_once_and_goes_on() -> None:
    stream = log(2048)
    handle = stream.open()
    for index in range(200):
        stream.tell(f"line {index}")
    assert stream.readable(handle)
    with pytest.raises(OSError, match="overwritten") as caught:
        stream.read(handle, 8192)
    assert caught.value.errno == errno.EPIPE
    assert texts(stream, handle)[-1] == b"line 199\n"


def test_a_record_that_does_not_fit_is_passed_over() -> None:
    stream = log()
    handle = stream.open()
    with pytest.raises(OSError, match="fit"):
        stream.read(handle, 10)
    assert stream.read(handle, 8192) is WOULD_BLOCK


def test_a_record_that_is_too_long_is_refused() -> None:
    stream = log()
    with pytest.raises(OSError, match="1024"):
        stream.write(stream.open(), b"x" * 1025, WRITER)


def test_seeking_goes_to_the_ends_and_to_what_was_not_cleared() -> None:
    ring = MessageRing(memoryview(bytearray(8192)))
    stream = GuestLog(GUEST, ring)
    handle = stream.open()
    ring.clear()
    stream.tell("later")
    assert stream.seek(handle, 0, os.SEEK_DATA) == 0
    assert texts(stream, handle) == [b"later\n"]
    assert stream.seek(handle, 0, os.SEEK_SET) == 0
    assert len(texts(stream, handle)) == 2
    stream.seek(handle, 0, os.SEEK_SET)
    stream.seek(handle, 0, os.SEEK_END)
    assert not stream.readable(handle)
    for offset, whence in ((5, os.SEEK_SET), (0, os.SEEK_CUR)):
        with pytest.raises(OSError, match=r"Illegal seek|Invalid argument"):
            stream.seek(handle, offset, whence)


def test_who_read_from_a_former_view_goes_on_behind_that() -> None:
    memory = memoryview(bytearray(8192))
    stream = GuestLog(GUEST, MessageRing(memory))
    handle = stream.open()
    taken = len(str_or(stream.read(handle, 8192)))
    stream.tell("new")
    successor = GuestLog(GUEST, MessageRing(memory))
    assert texts(successor, successor.open(taken=taken)) == [b"new\n"]
    assert len(texts(successor, successor.open())) == 2


def test_moments_are_by_the_guests_own_clock() -> None:
    shifted = GuestLog(
        ViewedGuest.decode({**GUEST.encode(), "boottime": 1_000_000}), MessageRing(memoryview(bytearray(8192)))
    )
    moment = int(shifted.text().split(b",")[2])
    assert moment > 1_000_000_000_000


def test_a_place_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError):
        log().readable(None)


@settings(max_examples=examples(FEW))
@given(st.binary(max_size=1024))
def test_whatever_is_written_is_one_printable_line_and_never_the_kernels(data: bytes) -> None:
    stream = log(1 << 16)
    handle = stream.open()
    stream.seek(handle, 0, os.SEEK_END)
    assert stream.write(handle, data, WRITER) == len(data)
    line = str_or(stream.read(handle, 8192))
    head, _, text = line.partition(b";")
    assert int(head.split(b",")[0]) >> 3
    assert text.endswith(b"\n")
    assert all(32 <= byte < 127 for byte in text[:-1])
    assert stream.read(handle, 8192) is WOULD_BLOCK
