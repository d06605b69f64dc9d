"""Messages between the daemon and the view."""

import os
import socket

import pytest

from insula.view.viewprotocol import receive_words, send_words


def channel() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_a_message_arrives_with_its_descriptors() -> None:
    ours, theirs = channel()
    with ours, theirs, open(os.devnull, "rb") as null:
        send_words(ours, {"verb": "show"}, [null.fileno(), null.fileno()])
        message = receive_words(theirs)
        assert message is not None
        assert message.body == {"verb": "show"}
        assert len(message.fds) == 2
        message.close()
        assert message.fds == []


def test_the_end_is_told_from_a_message() -> None:
    ours, theirs = channel()
    with theirs:
        ours.close()
        assert receive_words(theirs) is None


@pytest.mark.parametrize("sent", [b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_message_is_refused(sent: bytes) -> None:
    ours, theirs = channel()
    with ours, theirs:
        ours.send(sent)
        with pytest.raises(ValueError, match="not a message"):
            receive_words(theirs)


def test_a_message_that_is_too_long_is_refused() -> None:
    ours, theirs = channel()
    with ours, theirs:
        ours.send(b" " * 150_000)
        with pytest.raises(ValueError, match="cut"):
            receive_words(theirs)
