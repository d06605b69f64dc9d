"""What events look like to those who log them."""

from insula.rpc.arrivals import Stream, StreamState
from insula.rpc.procedures import Remote


def test_a_new_stream_is_open_and_names_its_call() -> None:
    stream = Stream(Remote.DOMAIN_OPEN_CONSOLE, 7, sparse=False)
    assert stream.state is StreamState.OPEN
    assert repr(stream) == "<stream 7 of REMOTE.DOMAIN_OPEN_CONSOLE, open>"


def test_streams_are_told_apart_by_identity() -> None:
    one, other = (Stream(Remote.DOMAIN_OPEN_CONSOLE, 7, sparse=False) for _ in range(2))
    assert len({one, other}) == 2
