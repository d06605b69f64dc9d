"""Sockets of test hosts, and questions and answers over them whose refusals can be told from silence."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial

from tests.testhost import TestHost
from tests.waiting import patience, until


def socket_in(host: TestHost, address: str, kind: socket.SocketKind) -> socket.socket:
    """Return a socket of a host's network for addresses like that one, with a deadline."""
    with host.network():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.settimeout(patience(5))
    return made


@contextlib.contextmanager
def listening(
    host: TestHost, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> Iterator[socket.socket]:
    """Yield a socket that waits for connections, or datagrams, at an address of a host."""
    with socket_in(host, address, kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        yield listener


def exchanged(client: socket.socket, address: str, port: int, listener: socket.socket) -> tuple[str, int]:
    """Ask there, have the listener answer, and return who it says is asking. Raises: OSError.

    A client of datagrams is connected too, so that it hears of a refusal and takes an answer from nobody else.
    """
    client.connect((address, port))
    client.send(b"question")
    if client.type == socket.SOCK_STREAM:
        served, peer = listener.accept()
        with served:
            served.settimeout(client.gettimeout())
            assert served.recv(100) == b"question"
            served.send(b"answer")
    else:
        question, peer = listener.recvfrom(100)
        assert question == b"question"
        listener.sendto(b"answer", peer)
    assert client.recv(100) == b"answer"
    return peer[0], peer[1]


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Let frames of the calling thread arrive in the order in which it sends them.

    Each processor has a queue of its own for what comes: a thread that moves to another would overtake itself.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def answered(asks: Callable[[str], bool], *addresses: str) -> None:
    """Wait until each address answers. asks: ask it once, as a ping does, and tell whether it answered.

    A first question may be lost: the card has no carrier yet, or the host is busy for as long as an answer is awaited.
    """
    for each in addresses:
        until(partial(asks, each), f"an answer from {each}", 20)
