"""Tests of insula.engine.keeper.clients."""

import os
import socket
from collections.abc import Iterator

import pytest

from insula.engine.keeper.clients import Clients, KeeperClient, PendingRequest, RefusalError, StartFailedError
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.protocol import Message, receive, send
from insula.kernel.fds import Fd
from tests.descriptors import open_fds


class Server:
    """Clients on a loop, serving verbs that tests define; the test is the one client."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        self.lost: list[KeeperClient] = []
        self.clients = Clients(self.loop, self.serve, self.lost.append)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.clients.welcome(theirs)
        self.last: PendingRequest | None = None

    def serve(self, verb: str, request: PendingRequest, message: Message) -> None:
        self.last = request
        match verb:
            case "echo":
                self.clients.answer(request, {"echo": message.body["text"]}, message.fds)
            case "refuse":
                raise RefusalError("certainly not")
            case "stillborn":
                raise StartFailedError({"text": "died", "step": 4, "errno": 5})
            case "fail":
                raise OSError(28, "No space left on device", "/full")
            case "listen":
                request.client.listening = True

    def ask(self, verb: str, **fields: object) -> Message | None:
        send(self.channel, {"request": 5, "verb": verb, **fields})
        self.loop.turn()
        return receive(self.channel)

    def close(self) -> None:
        self.channel.close()
        while len(self.clients):
            self.loop.turn()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_an_answer_goes_to_who_asked_with_its_number(server: Server) -> None:
    assert server.ask("echo", text="hello") == Message({"answer": 5, "echo": "hello"}, {})


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("refuse", {"text": "certainly not", "errno": 0}),
        ("stillborn", {"text": "died", "step": 4, "errno": 5}),
        ("fail", {"text": "No space left on device: /full", "errno": 28}),
        ("echo", {"text": "KeyError: 'text'", "errno": 0}),
    ],
)
def test_what_goes_wrong_is_answered_as_an_error(server: Server, verb: str, error: dict[str, object]) -> None:
    assert server.ask(verb) == Message({"answer": 5, "error": error}, {})


def test_fds_that_nobody_takes_are_closed(server: Server) -> None:
    before = open_fds()
    with open("/dev/null") as null:
        send(server.channel, {"verb": "listen"}, {"null": null.fileno()})
        server.loop.turn()
    assert open_fds() == before


@pytest.mark.parametrize("datagram", [b"nonsense", b"[]", b'{"fds":["x"]}'])
def test_who_speaks_nonsense_is_let_go(server: Server, datagram: bytes) -> None:
    server.channel.send(datagram)
    server.loop.turn()
    assert len(server.clients) == 0
    assert len(server.lost) == 1
    assert receive(server.channel) is None


def test_events_go_to_those_who_listen_only(server: Server) -> None:
    server.clients.tell({"event": "unheard"})
    send(server.channel, {"verb": "listen"})
    server.loop.turn()
    server.clients.tell({"event": "heard"})
    assert receive(server.channel) == Message({"event": "heard"}, {})


def read_all(server: Server, count: int) -> list[Message]:
    """Return that many messages, letting the server go on whenever there is nothing to read."""
    server.channel.setblocking(False)
    messages: list[Message] = []
    while len(messages) < count:
        try:
            message = receive(server.channel)
        except BlockingIOError:
            server.loop.turn()
            continue
        assert message is not None
        messages.append(message)
    return messages


def test_who_does_not_read_gets_all_later_in_order_and_blocks_nobody(server: Server) -> None:
    send(server.channel, {"verb": "listen"})
    server.loop.turn()
    for number in range(2000):
        server.clients.tell({"event": "x", "number": number, "padding": "x" * 1000})
    assert [message.body["number"] for message in read_all(server, 2000)] == list(range(2000))


def test_waiting_answers_keep_their_fds_open(server: Server) -> None:
    send(server.channel, {"request": 1, "verb": "listen"})
    server.loop.turn()
    assert server.last is not None
    for _ in range(2000):
        server.clients.answer(server.last, {"padding": "x" * 1000})
    passed = Fd(os.open("/dev/null", os.O_RDONLY))
    server.clients.answer(server.last, {"end": True}, {"null": passed})
    os.close(passed)
    last = read_all(server, 2001)[-1]
    assert os.readlink(f"/proc/self/fd/{last.fds['null']}") == "/dev/null"
    last.close()


def test_an_answer_to_who_is_gone_is_dropped(server: Server) -> None:
    send(server.channel, {"request": 1, "verb": "listen"})
    server.loop.turn()
    assert server.last is not None
    server.channel.close()
    server.loop.turn()
    server.clients.answer(server.last, {"late": True})
    assert len(server.clients) == 0


def test_the_door_is_not_closed_on_who_waits_there(server: Server) -> None:
    listener, waiting = (socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    listener.bind("")
    listener.listen()
    address = listener.getsockname()
    server.close()
    server.clients.listen(listener)
    waiting.connect(address)
    assert not server.clients.close_door()
    assert len(server.clients) == 1
    waiting.close()
    server.loop.turn()
    assert server.clients.close_door()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as late, pytest.raises(ConnectionRefusedError):
        late.connect(address)
