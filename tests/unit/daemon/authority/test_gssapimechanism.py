"""GSSAPI as a mechanism of SASL, over a library that is none: whose tickets, which layers, in which order."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from insula.daemon.authority import gssapimechanism
from insula.daemon.authority.gssapimechanism import GssapiMechanism, Kerberos
from insula.errors import AuthenticationError, ConfigurationError

pytestmark = pytest.mark.asyncio


class RefusalError(Exception):
    """What the library raises."""


class Context:
    """Believes the token `ticket`, and wraps by a letter in front: e if it encrypts, p if not."""

    initiator_name = "anna@EXAMPLE.ORG"
    target_name = "libvirt/web1@EXAMPLE.ORG"

    def __init__(self) -> None:
        self.complete = False

    def step(self, token: bytes) -> bytes | None:
        if token not in (b"ticket", b"silent"):
            raise RefusalError("no ticket")
        self.complete = True
        return b"proof" if token == b"ticket" else None

    def wrap(self, data: bytes, encrypt: bool) -> Any:
        return SimpleNamespace(message=(b"e" if encrypt else b"p") + data)

    def unwrap(self, data: bytes) -> Any:
        if data[:1] not in (b"e", b"p"):
            raise RefusalError("not wrapped")
        return _Unwrapped(data[1:], data[:1] == b"e", 0)

    def get_wrap_size_limit(self, size: int, encrypt: bool) -> int:
        return size - 60


class _Unwrapped(NamedTuple):
    message: bytes
    encrypted: bool
    quality: int


@pytest.fixture
def strength() -> list[int]:
    return [256]


@pytest.fixture
def kerberos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strength: list[int]) -> Kerberos:
    library = SimpleNamespace(
        exceptions=SimpleNamespace(GSSError=RefusalError),
        Credentials=lambda **_: "credentials",
        SecurityContext=lambda **_: Context(),
        OID=SimpleNamespace(from_int_seq=lambda text: text),
        raw=SimpleNamespace(inquire_sec_context_by_oid=lambda *_: [strength[0].to_bytes(4, "big")]),
    )
    monkeypatch.setattr(gssapimechanism, "import_module", lambda _: library)
    keytab = tmp_path / "keytab"
    keytab.touch(0o600)
    return Kerberos(keytab)


def choice(layer: int, size: int, acting: bytes = b"") -> bytes:
    return b"p" + (layer << 24 | size).to_bytes(4, "big") + acting


async def offered(mechanism: GssapiMechanism) -> bytes:
    assert (await mechanism.step(b"ticket")).data == b"proof"
    told = await mechanism.step(b"")
    assert told.data is not None and not told.complete
    return told.data


async def test_by_tcp_a_ticket_encrypts_all_that_follows(kerberos: Kerberos) -> None:
    mechanism = GssapiMechanism(kerberos, secure=False)
    assert await offered(mechanism) == b"p\x04\x01\x00\x00"
    done = await mechanism.step(choice(4, 5000))
    assert done.complete and done.data is None and mechanism.user == "anna@EXAMPLE.ORG"
    layer = mechanism.layer
    assert layer is not None and layer.piece == 4940
    assert layer.wrap(b"x") == b"ex" and layer.unwrap(b"ey") == b"y"
    for wrong in (b"px", b"x", b""):
        with pytest.raises(OSError, match="encrypted"):
            layer.unwrap(wrong)


async def test_where_something_else_encrypts_it_only_proves(kerberos: Kerberos) -> None:
    mechanism = GssapiMechanism(kerberos, secure=True)
    assert await offered(mechanism) == b"p\x01\x00\x00\x00"
    assert (await mechanism.step(choice(1, 0, b"anna"))).complete and mechanism.layer is None


async def test_a_proof_of_ours_that_is_none_is_not_waited_for(kerberos: Kerberos) -> None:
    assert (await GssapiMechanism(kerberos, secure=True).step(b"silent")).data == b"p\x01\x00\x00\x00"


@pytest.mark.parametrize(
    "chosen",
    [
        choice(1, 0),
        choice(2, 5000),
        choice(6, 5000),
        choice(4, 10),
        choice(4, 5000, b"root"),
        b"p\x04",
        b"nothing",
        b"",
    ],
)
async def test_what_was_not_offered_is_refused(kerberos: Kerberos, chosen: bytes) -> None:
    mechanism = GssapiMechanism(kerberos, secure=False)
    await offered(mechanism)
    with pytest.raises(AuthenticationError):
        await mechanism.step(chosen)
    assert mechanism.layer is None


@pytest.mark.parametrize("said", [None, b"", b"nonsense", b"x" * 70_000])
async def test_what_is_no_ticket_is_refused(kerberos: Kerberos, said: bytes | None) -> None:
    with pytest.raises(AuthenticationError):
        await GssapiMechanism(kerberos, secure=False).step(said)


async def test_a_weak_key_or_another_services_ticket_is_refused(
    kerberos: Kerberos, strength: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    strength[0] = 56
    with pytest.raises(AuthenticationError, match="a key of 56 bits encrypts, and 112 are wanted"):
        await GssapiMechanism(kerberos, secure=False).step(b"ticket")
    assert (await GssapiMechanism(kerberos, secure=True).step(b"ticket")).data == b"proof"
    monkeypatch.setattr(Context, "target_name", "imap/web1@EXAMPLE.ORG")
    with pytest.raises(AuthenticationError, match="the ticket is for imap/web1"):
        await GssapiMechanism(kerberos, secure=True).step(b"ticket")


async def test_a_key_that_cannot_be_used_is_refused_in_words(
    kerberos: Kerberos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Kerberos(tmp_path / "none")
    (tmp_path / "keytab").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod it to 0600"):
        Kerberos(tmp_path / "keytab")
    with pytest.raises(ConfigurationError, match="chmod it to 0600"):
        await GssapiMechanism(kerberos, secure=True).step(b"ticket")

    def nothing(_: str) -> None:
        raise ImportError("no gssapi")

    monkeypatch.setattr(gssapimechanism, "import_module", nothing)
    with pytest.raises(ConfigurationError, match="python3-gssapi"):
        Kerberos(tmp_path / "keytab")
