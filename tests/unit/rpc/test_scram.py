"""SCRAM: the example of its RFC, both sides against each other, and what neither believes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.errors import AuthenticationError, InvalidArgumentError
from insula.rpc import scram
from insula.rpc.scram import HASHES, ScramClient, ScramServer, decoy, keys_of, parse_keys, plain_password
from tests.examples import FEW, examples

FEWEST = 4096
KEYS = {each: keys_of(each, "pencil", iterations=FEWEST) for each in HASHES}


def said(mechanism: str, user: str, password: str) -> bytes:
    """Have both sides talk; return the server's last word, which the client has believed."""
    client, server = ScramClient(mechanism, user, password), ScramServer(mechanism)
    assert server.named(client.first()) == user
    last = server.judge(client.prove(server.ask(KEYS[mechanism])))
    client.check(last)
    return last


def test_the_example_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = iter(["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"])
    monkeypatch.setattr("insula.rpc.scram.secrets.token_urlsafe", lambda _: next(nonces))
    client, server = ScramClient("SCRAM-SHA-256", "user", "pencil"), ScramServer("SCRAM-SHA-256")
    salt = b"[m\x99h\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81"
    assert client.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert server.named(client.first()) == "user"
    asked = server.ask(keys_of("SCRAM-SHA-256", "pencil", salt=salt, iterations=4096))
    assert asked == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = client.prove(asked)
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert server.judge(final) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("mechanism", HASHES)
def test_who_knows_the_password_is_believed_and_nobody_else(mechanism: str) -> None:
    for user in ("anna", "a,b=c", "Žofie"):
        assert said(mechanism, user, "pencil").startswith(b"v=")
    with pytest.raises(AuthenticationError, match="the proof is wrong"):
        said(mechanism, "anna", "pencils")


@pytest.mark.parametrize("mechanism", HASHES)
def test_what_is_kept_of_a_password_is_written_and_read_and_shows_in_no_trace(mechanism: str) -> None:
    keys = KEYS[mechanism]
    assert parse_keys(str(keys)) == keys
    assert str(keys).split("$")[2].split(":")[0] not in repr(keys)
    assert keys_of(mechanism, "pencil", iterations=FEWEST) != keys, "each has a salt of its own"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SCRAM-SHA-1$4096:YQ==$YQ==:YQ==",
        "SCRAM-SHA-256$4096:YQ==$YQ==:YQ==",
        "SCRAM-SHA-256$0:YQ==$YQ==:YQ==",
        "SCRAM-SHA-256$4096:!$YQ==:YQ==",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        parse_keys(text)


def test_a_user_that_there_is_not_looks_like_one_and_the_same_one_each_time() -> None:
    one, again, other = (decoy("SCRAM-SHA-256", each, b"s" * 32, FEWEST) for each in ("eve", "eve", "mallory"))
    assert one.salt == again.salt != other.salt and len(one.salt) == len(KEYS["SCRAM-SHA-256"].salt)
    server, client = ScramServer("SCRAM-SHA-256"), ScramClient("SCRAM-SHA-256", "eve", "pencil")
    server.named(client.first())
    with pytest.raises(AuthenticationError, match="the proof is wrong"):
        server.judge(client.prove(server.ask(one)))


@pytest.mark.parametrize(
    "first",
    [
        b"", b"n,,", b"n=anna,r=aaaaaaaa", b"p=tls-unique,,n=anna,r=aaaaaaaa", b"n,a=root,n=anna,r=aaaaaaaa",
        b"n,,n=,r=aaaaaaaa", b"n,,n=a=2Xb,r=aaaaaaaa", b"n,,n=anna,r=short", b"n,,n=anna,r=" + b"\xff" * 8,
        b"n,,m=x,n=anna,r=aaaaaaaa", b"n,,n=an\nna,r=aaaaaaaa", b"n,,n=\xff\xff,r=aaaaaaaa",
        b"n,,n=anna,r=aaaaaaaa," + b"x" * scram.MESSAGE_MAX, b"n,,n=" + b"a" * 300 + b",r=aaaaaaaa",
    ],
)  # fmt: skip
def test_a_first_message_that_is_none_is_refused(first: bytes) -> None:
    with pytest.raises(AuthenticationError):
        ScramServer("SCRAM-SHA-256").named(first)


def test_who_asks_to_act_as_oneself_may() -> None:
    assert ScramServer("SCRAM-SHA-256").named(b"y,a=anna,n=anna,r=aaaaaaaa,ext=1") == "anna"


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (rb"c=biws", b"c=eSws"),
        (rb"r=", b"r=x"),
        (rb"p=.*", b"p=AAAA"),
        (rb"p=.*", b"p=!"),
        (rb",p=.*", b""),
        (rb",p=", b",ext=1,p="),
        (rb".*", b""),
    ],
)
def test_a_last_message_that_was_changed_on_the_way_is_refused(pattern: bytes, instead: bytes) -> None:
    client, server = ScramClient("SCRAM-SHA-256", "anna", "pencil"), ScramServer("SCRAM-SHA-256")
    server.named(client.first())
    final = client.prove(server.ask(KEYS["SCRAM-SHA-256"]))
    with pytest.raises(AuthenticationError):
        server.judge(re.sub(pattern, instead, final, count=1))
    with pytest.raises(AuthenticationError):
        ScramServer("SCRAM-SHA-256").judge(final)


def test_a_proof_is_of_one_conversation_alone() -> None:
    client, server = ScramClient("SCRAM-SHA-256", "anna", "pencil"), ScramServer("SCRAM-SHA-256")
    server.named(client.first())
    final = client.prove(server.ask(KEYS["SCRAM-SHA-256"]))
    later = ScramServer("SCRAM-SHA-256")
    later.named(client.first())
    later.ask(KEYS["SCRAM-SHA-256"])
    with pytest.raises(AuthenticationError):
        later.judge(final)


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"r=other,s=YQ==,i=4096",
        b"r=%s,s=YQ==,i=4096",
        b"r=%sx,s=YQ==,i=1",
        b"r=%sx,s=YQ==,i=99999999",
        b"r=%sx,s=!,i=4096",
    ],
)
def test_a_client_answers_no_question_that_is_none(asked: bytes) -> None:
    client = ScramClient("SCRAM-SHA-256", "anna", "pencil")
    nonce = client.first().partition(b"r=")[2]
    with pytest.raises(AuthenticationError):
        client.prove(asked.replace(b"%s", nonce))


def test_a_client_believes_no_server_that_does_not_know_the_password() -> None:
    client, server = ScramClient("SCRAM-SHA-256", "anna", "pencil"), ScramServer("SCRAM-SHA-256")
    for early in (b"", b"v=", b"v=YQ=="):
        with pytest.raises(AuthenticationError):
            client.check(early)
    server.named(client.first())
    last = server.judge(client.prove(server.ask(KEYS["SCRAM-SHA-256"])))
    for wrong in (b"", b"e=other-error", b"v=", b"v=YQ==", b"v=!", last[:-3] + b"AA="):
        with pytest.raises(AuthenticationError):
            client.check(wrong)
    client.check(last)


@pytest.mark.parametrize("password", ["", "a\nb", "x" * 513, "½", "e\u0301"])
def test_a_password_that_not_every_client_writes_alike_is_refused(password: str) -> None:
    with pytest.raises(InvalidArgumentError):
        plain_password(password)
    assert plain_password("süß, 'n =\"") == "süß, 'n =\""


@given(first=st.binary(max_size=80), final=st.binary(max_size=80))
@settings(max_examples=examples(FEW), deadline=None)
def test_nonsense_is_refused_in_words(first: bytes, final: bytes) -> None:
    for begun in (b"", b"n,,n=anna,r=aaaaaaaa"):
        with pytest.raises(AuthenticationError):
            _served(begun or first, final)


def _served(first: bytes, final: bytes) -> bytes:
    server = ScramServer("SCRAM-SHA-512")
    server.named(first)
    server.ask(KEYS["SCRAM-SHA-512"])
    return server.judge(final)
