"""Proving who we are, and refusing a daemon that does not know us."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from insula.errors import AuthenticationError
from insula.rpc.procedures import Remote
from insula.rpc.scram import ScramServer, keys_of
from insula.sdk import saslconversation
from insula.sdk.conversation import Acquaintance, Answer, Request
from insula.sdk.credentials import Credential
from insula.sdk.saslconversation import prove

if TYPE_CHECKING:
    from insula.sdk.tcpsocket import TcpSocket

ANNA = Credential("anna", "pencil")


def talked(mechanisms: str, password: str = "pencil", *, complete: int = 1, lie: bytes | None = None) -> list[Request]:
    """Be the daemon; return what was asked of it."""
    conversation = prove(Acquaintance(lambda: ANNA, "web1"))
    asked = [next(conversation)]
    answer: Any = (mechanisms,)
    server: ScramServer | None = None
    while True:
        try:
            request = conversation.send(Answer(answer, (), None))
        except StopIteration:
            return asked
        asked.append(request)
        if request.procedure is Remote.AUTH_SASL_START:
            mechanism, nil, data = request.arguments
            server = ScramServer(mechanism)
            assert server.named(data) == "anna" and not nil
            reply = server.ask(keys_of(mechanism, password, iterations=4096))
            answer = _Reply(complete=0, nil=0, data=reply)
        else:
            assert server is not None and request.procedure is Remote.AUTH_SASL_STEP
            said = server.judge(request.arguments[1]) if lie is None else lie
            answer = _Reply(complete=complete, nil=0, data=said)


class _Reply(SimpleNamespace):
    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize("mechanisms", ["SCRAM-SHA-512,SCRAM-SHA-256", "GSSAPI SCRAM-SHA-512", "PLAIN,SCRAM-SHA-512"])
def test_the_strongest_that_both_know_is_taken(mechanisms: str) -> None:
    init, start, step = talked(mechanisms)
    assert init.procedure is Remote.AUTH_SASL_INIT and start.arguments[0] == "SCRAM-SHA-512"
    assert b"pencil" not in start.arguments[2] + step.arguments[1]


@pytest.mark.parametrize("mechanisms", ["", "PLAIN", "DIGEST-MD5"])
def test_a_password_is_never_sent(mechanisms: str) -> None:
    with pytest.raises(AuthenticationError, match="the daemon wants SASL by"):
        talked(mechanisms)


@pytest.mark.parametrize(("complete", "lie"), [(1, b"v=YQ=="), (1, b""), (0, None)])
def test_a_daemon_that_does_not_prove_itself_is_left(complete: int, lie: bytes | None) -> None:
    with pytest.raises(AuthenticationError):
        talked("SCRAM-SHA-256", complete=complete, lie=lie)


class _Proof:
    """Stands for `TicketProof`: says one thing after another, and is done after the second."""

    def __init__(self, host: str, *, encrypts: bool) -> None:
        assert host == "web1"
        self.layer = object() if encrypts else None
        self.complete = False

    def first(self) -> bytes:
        return b"ticket"

    def answer(self, said: bytes) -> bytes:
        self.complete = said == b"offer"
        return b"to " + said


class _Tcp:
    """Stands for a `TcpSocket`."""

    def __init__(self) -> None:
        self.layers: list[object] = []

    def protect(self, layer: object) -> None:
        self.layers.append(layer)


def by_ticket(tcp: _Tcp | None, mechanisms: str, *told: tuple[int, bytes]) -> list[tuple[object, ...]]:
    conversation = prove(Acquaintance(lambda: ANNA, "web1", cast("TcpSocket", tcp) if tcp is not None else None))
    next(conversation)
    said: list[tuple[object, ...]] = []
    answers: list[Any] = [(mechanisms,), *(_Reply(complete=complete, nil=0, data=data) for complete, data in told)]
    try:
        while answers:
            said.append(conversation.send(Answer(answers.pop(0), (), None)).arguments)
    except StopIteration:
        return said
    raise AssertionError("it wants to hear more")


@pytest.mark.parametrize(("tcp", "mechanisms"), [(_Tcp(), "SCRAM-SHA-512,GSSAPI"), (None, "GSSAPI")])
def test_a_ticket_proves_it_where_nothing_else_encrypts_or_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tcp: _Tcp | None, mechanisms: str
) -> None:
    monkeypatch.setattr(saslconversation, "TicketProof", _Proof)
    said = by_ticket(tcp, mechanisms, (0, b"proof"), (0, b"offer"), (1, b""))
    assert said == [("GSSAPI", 0, b"ticket"), (0, b"to proof"), (0, b"to offer")]
    assert tcp is None or len(tcp.layers) == 1


def test_a_daemon_that_lets_us_in_without_its_proof_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saslconversation, "TicketProof", _Proof)
    tcp = _Tcp()
    with pytest.raises(AuthenticationError, match="before it has proved who it is"):
        by_ticket(tcp, "GSSAPI", (1, b""))
    assert tcp.layers == []


def test_a_password_is_not_proved_where_all_that_follows_would_be_in_the_clear() -> None:
    with pytest.raises(AuthenticationError, match="wants SASL by SCRAM-SHA-512, and here this client knows GSSAPI"):
        by_ticket(_Tcp(), "SCRAM-SHA-512")
