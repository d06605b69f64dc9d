"""Tests of insula.engine.keeper.protocol."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.engine.keeper.protocol import (
    BODY_MAX,
    BULK_MAX,
    Message,
    decode,
    describe,
    passed_fds,
    receive,
    receive_encoded,
    send,
)
from insula.kernel.fds import Fd, close_all, memory_file
from tests.descriptors import open_fds
from tests.examples import examples

Pair = tuple[socket.socket, socket.socket]
_BODIES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])).filter(lambda key: key != "fds"),
    st.recursive(
        st.none() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])), st.lists
    ),
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ours, theirs
    ours.close()
    theirs.close()


@settings(max_examples=examples(15))  # some are larger than a datagram
@given(_BODIES)
def test_any_body_arrives_as_it_was_sent(body: dict[str, Any]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        send(ours, body)
        assert receive(theirs) == Message(body, {})


def test_fds_arrive_by_name_closing_on_exec_and_stay_the_senders(pair: Pair) -> None:
    files = {name: os.open("/proc/self/" + name, os.O_RDONLY) for name in ("stat", "status", "maps")}
    send(pair[0], {"x": 1}, files)
    message = receive(pair[1])
    assert message is not None
    assert message.body == {"x": 1}
    for name, fd in message.fds.items():
        assert os.readlink(f"/proc/self/fd/{fd}").endswith(name)
        assert os.path.sameopenfile(fd, files[name])
        assert not os.get_inheritable(fd)
    assert list(message.fds) == list(files)
    message.close()
    assert message.fds == {}
    close_all(Fd(fd) for fd in files.values())


def test_a_large_body_travels_in_a_file_together_with_other_fds(pair: Pair) -> None:
    before = open_fds()
    body = {"text": "x" * (3 * BODY_MAX)}
    with open("/dev/null") as null:
        send(pair[0], body, {"null": null.fileno()})
    message = receive(pair[1])
    assert message is not None
    assert message.body == body
    assert os.readlink(f"/proc/self/fd/{message.fds['null']}") == "/dev/null"
    message.close()
    assert open_fds() == before


def test_messages_keep_their_bounds_and_order(pair: Pair) -> None:
    for number in range(5):
        send(pair[0], {"number": number})
    received = [receive(pair[1]) for _ in range(5)]
    assert [message and message.body["number"] for message in received] == list(range(5))


def test_the_end_is_no_message(pair: Pair) -> None:
    pair[0].close()
    assert receive(pair[1]) is None


def test_a_channel_that_does_not_block_says_that_nothing_is_there(pair: Pair) -> None:
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        receive(pair[1])


@pytest.mark.parametrize("encoded", [b"\xff", b"[1]", b"null", b'"fds"', b'{"fds":["a"]}', b'{"fds":5}', b"{"])
def test_what_is_no_message_is_refused_and_its_fds_closed(encoded: bytes) -> None:
    before = open_fds()
    fds = [Fd(os.open("/dev/null", os.O_RDONLY)) for _ in range(2)]
    with pytest.raises(ValueError, match="not a message"):
        decode(encoded, fds)
    assert open_fds() == before


def test_a_bulk_message_without_its_file_is_refused(pair: Pair) -> None:
    pair[0].send(b'{"bulk":true}')
    with pytest.raises(ValueError, match="without the file"):
        receive_encoded(pair[1])


def test_a_bulk_message_whose_file_grows_while_it_is_read_is_refused(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = memory_file("growing", b"{}"), os.pread

    def grown(fd: int, size: int, offset: int) -> bytes:
        assert offset < 2 * BULK_MAX
        os.ftruncate(file, offset + (1 << 20))
        return read(fd, size, offset)

    monkeypatch.setattr(os, "pread", grown)
    socket.send_fds(pair[0], [b'{"bulk":true}'], [file])
    with pytest.raises(ValueError, match="longer than"):
        receive_encoded(pair[1])
    os.close(file)


def test_a_datagram_that_is_cut_is_refused_and_its_fds_closed(pair: Pair) -> None:
    before = open_fds()
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with open("/dev/null") as null:
        socket.send_fds(pair[0], [b"x" * (BODY_MAX * 2)], [null.fileno()])
    with pytest.raises(ValueError, match="was cut"):
        receive_encoded(pair[1])
    assert open_fds() == before


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (OSError(errno.EPERM, "Operation not permitted", "/x"), {"text": "Operation not permitted: /x", "errno": 1}),
        (OSError(errno.EPERM, "Operation not permitted"), {"text": "Operation not permitted", "errno": 1}),
        (OSError("no number"), {"text": "OSError: no number", "errno": 0}),
        (KeyError("root"), {"text": "KeyError: 'root'", "errno": 0}),
    ],
)
def test_an_error_travels_as_text_and_number(error: BaseException, described: dict[str, Any]) -> None:
    assert describe(error) == described
    assert json.loads(json.dumps(describe(error))) == described


def test_what_is_meant_for_a_program_keeps_its_order() -> None:
    fds = {"image": Fd(3), "mount0": Fd(9), "root": Fd(4), "cgroup": Fd(5), "join0": Fd(6)}
    assert passed_fds(Message({}, fds), without=["root"]) == [9, 6]
