"""A ticket as the client's proof, over a library that is none: what is said in which order, and what is refused."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from insula.errors import AuthenticationError, AuthenticationUnavailableError
from insula.sdk import tickets
from insula.sdk.tickets import TicketProof


class RefusalError(Exception):
    """What the library raises."""


class Unwrapped(NamedTuple):
    message: bytes
    encrypted: bool
    quality: int


class Context:
    """Gives `ticket`, believes `proof`, and wraps by a letter in front: e if it encrypts, p if not."""

    def __init__(self, *, name: str, usage: str, flags: list[int]) -> None:
        assert usage == "initiate" and name == "libvirt@web1"
        self.actual_flags = sum(flags)
        self.complete = False

    def step(self, token: bytes | None = None) -> bytes | None:
        if token is None:
            return b"ticket"
        if token != b"proof":
            raise RefusalError("no proof")
        self.complete = True
        return None

    def wrap(self, data: bytes, encrypt: bool) -> Any:
        return SimpleNamespace(message=(b"e" if encrypt else b"p") + data)

    def unwrap(self, data: bytes) -> Any:
        if data[:1] not in (b"e", b"p"):
            raise RefusalError("not wrapped")
        return Unwrapped(data[1:], data[:1] == b"e", 0)

    def get_wrap_size_limit(self, size: int, encrypt: bool) -> int:
        return size - 60


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    library = SimpleNamespace(
        exceptions=SimpleNamespace(GSSError=RefusalError),
        RequirementFlag=SimpleNamespace(mutual_authentication=1, integrity=2, confidentiality=4),
        NameType=SimpleNamespace(hostbased_service="service"),
        Name=lambda text, kind: text,
        SecurityContext=Context,
    )
    monkeypatch.setattr(tickets, "import_module", lambda _: library)
    return library


def offer(layers: int, size: int = 0) -> bytes:
    return b"p" + (layers << 24 | size).to_bytes(4, "big")


def met(*, encrypts: bool) -> TicketProof:
    """Return a proof whose ticket is believed, and which has believed the daemon's."""
    proof = TicketProof("web1", encrypts=encrypts)
    assert proof.first() == b"ticket" and proof.answer(b"proof") == b""
    return proof


def test_by_tcp_the_ticket_encrypts_what_follows(library: SimpleNamespace) -> None:
    proof = met(encrypts=True)
    assert proof.answer(offer(4, 5000)) == b"p\x04\x01\x00\x00" and proof.complete
    layer = proof.layer
    assert layer is not None and layer.piece == 4940
    assert layer.wrap(b"x") == b"ex" and layer.unwrap(b"ey") == b"y"
    for wrong in (b"px", b"x", b""):
        with pytest.raises(OSError, match="encrypted"):
            layer.unwrap(wrong)


def test_where_something_else_encrypts_it_only_proves(library: SimpleNamespace) -> None:
    proof = met(encrypts=False)
    assert proof.answer(offer(1)) == b"p\x01\x00\x00\x00" and proof.complete and proof.layer is None


@pytest.mark.parametrize(
    ("encrypts", "said", "complaint"),
    [
        (True, offer(1), "would not encrypt"),
        (True, offer(2, 5000), "would not encrypt"),
        (False, offer(4, 5000), "encrypted already"),
        (True, offer(4, 10), "too little"),
        (True, b"p\x04", "make sense"),
        (True, b"nonsense", "does not prove that it is libvirt/web1"),
    ],
)
def test_what_must_not_be_is_refused(library: SimpleNamespace, encrypts: bool, said: bytes, complaint: str) -> None:
    proof = met(encrypts=encrypts)
    with pytest.raises(AuthenticationError, match=complaint):
        proof.answer(said)
    assert proof.layer is None and not proof.complete


def test_a_daemon_that_is_not_the_one_is_refused(library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = TicketProof("web1", encrypts=True)
    proof.first()
    with pytest.raises(AuthenticationError, match="does not prove that it is libvirt/web1: no proof"):
        proof.answer(b"nonsense")
    proof = met(encrypts=True)
    proof._context.actual_flags = 6
    with pytest.raises(AuthenticationError, match="has not proved who it is"):
        proof.answer(offer(4, 5000))
    proof = met(encrypts=True)
    proof.answer(offer(4, 5000))
    with pytest.raises(AuthenticationError, match="make sense"):
        proof.answer(offer(4, 5000))


def test_without_a_ticket_or_the_library_it_is_said_what_gives_one(
    library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: object) -> None:
        raise RefusalError("no credentials")

    library.SecurityContext = none
    with pytest.raises(AuthenticationError, match=r"libvirt/web1 \(kinit gets one\): no credentials"):
        TicketProof("web1", encrypts=True).first()

    def missing(_: str) -> None:
        raise ImportError("no gssapi")

    monkeypatch.setattr(tickets, "import_module", missing)
    with pytest.raises(AuthenticationUnavailableError, match="python3-gssapi"):
        TicketProof("web1", encrypts=True)
