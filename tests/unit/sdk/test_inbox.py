"""What came in is handed out in order, and errors only behind the last of it."""

import pytest

from insula.errors import OperationAbortedError, OperationFailedError
from insula.rpc.connection import Notification, Stream, StreamAbort, StreamData, StreamEof, StreamFinish, StreamHole
from insula.rpc.procedures import Remote
from insula.sdk.inbox import Hole, MessageInbox, StreamInbox


@pytest.fixture
def inbox() -> StreamInbox:
    return StreamInbox(Stream(Remote.STORAGE_VOL_DOWNLOAD, 1, sparse=True))


def lifecycle(callback: int) -> Notification:
    codec = Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE.arguments
    return Notification(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, codec.make(callback, (("web", bytes(16), 1), 2, 0)))


def test_pieces_come_out_in_order_and_are_counted(inbox: StreamInbox) -> None:
    inbox.put(StreamData(inbox.stream, b"one"))
    inbox.put(StreamHole(inbox.stream, 4096))
    inbox.put(StreamData(inbox.stream, b"three"))
    assert inbox.size == 8
    assert [inbox.take(), inbox.take(), inbox.take(), inbox.take()] == [b"one", Hole(4096), b"three", None]
    assert inbox.size == 0


def test_eof_ends_a_stream_and_finish_closes_it(inbox: StreamInbox) -> None:
    inbox.put(StreamEof(inbox.stream))
    assert (inbox.ended, inbox.closed) == (True, False)
    inbox.put(StreamFinish(inbox.stream))
    assert (inbox.ended, inbox.closed) == (True, True)
    assert inbox.take() is None


def test_an_error_comes_behind_the_last_piece(inbox: StreamInbox) -> None:
    inbox.put(StreamData(inbox.stream, b"one"))
    inbox.put(StreamAbort(inbox.stream, OperationFailedError("broken")))
    assert inbox.take() == b"one"
    with pytest.raises(OperationFailedError, match="broken"):
        inbox.take()
    with pytest.raises(OperationFailedError, match="broken"):
        inbox.check()


def test_an_abort_without_a_reason_is_an_error_too(inbox: StreamInbox) -> None:
    inbox.put(StreamAbort(inbox.stream, None))
    with pytest.raises(OperationAbortedError):
        inbox.take()


def test_a_lost_connection_breaks_open_streams_only(inbox: StreamInbox) -> None:
    closed = StreamInbox(inbox.stream)
    closed.put(StreamFinish(inbox.stream))
    for each in (inbox, closed):
        each.break_off(OperationFailedError("lost"))
    with pytest.raises(OperationFailedError, match="lost"):
        inbox.take()
    assert closed.take() is None


def test_messages_go_to_whoever_watches_their_callback() -> None:
    inbox = MessageInbox()
    queue = inbox.watch(1)
    inbox.put(lifecycle(1))
    inbox.put(lifecycle(2))
    assert [message.values.callbackID for message in queue] == [1]
    other = inbox.take()
    assert other is not None
    assert other.values.callbackID == 2
    assert inbox.take() is None


def test_messages_that_came_before_the_watcher_wait_for_it_in_order() -> None:
    inbox = MessageInbox()
    for callback in (1, 2, 1):
        inbox.put(lifecycle(callback))
    assert len(inbox.watch(1)) == 2
    assert inbox.has_others


def test_messages_without_a_callback_are_for_everybody() -> None:
    inbox = MessageInbox()
    inbox.watch(1)
    closed = Notification(
        Remote.CONNECT_EVENT_CONNECTION_CLOSED, Remote.CONNECT_EVENT_CONNECTION_CLOSED.arguments.make(1)
    )
    inbox.put(closed)
    assert inbox.take() == closed


def test_a_forgotten_callbacks_messages_are_for_everybody_again() -> None:
    inbox = MessageInbox()
    inbox.watch(1)
    inbox.forget(1)
    inbox.put(lifecycle(1))
    assert inbox.take() is not None
