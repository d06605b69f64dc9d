"""SASL on the wire: what succeeds, what is refused and in which words, and how often one may try."""

from pathlib import Path
from typing import Any, cast

import pytest

from insula.daemon.authority import saslauthentication
from insula.daemon.authority.authentication import TRIES
from insula.daemon.authority.policy import AccessPolicy
from insula.daemon.authority.saslauthentication import REFUSAL, SaslOffer
from insula.daemon.authority.saslmechanism import SaslAnswer
from insula.daemon.authority.saslusers import SaslUsers, write_users
from insula.daemon.config import SocketAccess
from insula.daemon.remotesettings import Authenticating, SaslSettings
from insula.errorcodes import ErrorCode
from insula.errors import AuthenticationError, ConfigurationError
from insula.rpc.procedures import Remote
from insula.rpc.scram import ScramClient
from insula.rpc.wrapping import SecurityLayer
from tests.unit.daemon.clientend import ClientEnd, connected, failure, until
from tests.waiting import scaled

pytestmark = pytest.mark.asyncio
NAME = "SCRAM-SHA-512"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saslauthentication, "FAILED_SECONDS", 0.0)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    write_users(path, SaslUsers().with_password("anna", "pencil").with_password("bert", "brush"))
    return path


def policy(users: Path, *allowed: str) -> AccessPolicy:
    offer = SaslOffer(SaslSettings(credentials=users, allowed_users=allowed))
    return AccessPolicy(wanted=dict.fromkeys(SocketAccess, Authenticating.SASL), sasl=offer)


async def begin(client: ClientEnd, user: str, password: str) -> tuple[ScramClient, Any]:
    await client.call(Remote.AUTH_SASL_INIT)
    scram = ScramClient(NAME, user, password)
    return scram, await client.call(Remote.AUTH_SASL_START, NAME, 0, scram.first())


async def prove(client: ClientEnd, user: str, password: str) -> None:
    scram, begun = await begin(client, user, password)
    assert (begun.complete, begun.nil) == (0, 0)
    proved = await client.call(Remote.AUTH_SASL_STEP, 0, scram.prove(begun.data))
    assert (proved.complete, proved.nil) == (1, 0)
    scram.check(proved.data)


async def test_a_password_opens_the_door_and_the_user_is_known_from_then_on(users: Path) -> None:
    async with connected(opened=False, policy=policy(users)) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (1,)
        assert (await both.client.call(Remote.AUTH_SASL_INIT)).mechlist == "SCRAM-SHA-512,SCRAM-SHA-256"
        for row, arguments in (
            (Remote.CONNECT_OPEN, ("lxc:///system", 0)),
            (Remote.CONNECT_SUPPORTS_FEATURE, (14,)),
            (Remote.CONNECT_GET_HOSTNAME, ()),
        ):
            with failure(ErrorCode.RPC):
                await both.client.call(row, *arguments)
        await prove(both.client, "anna", "pencil")
        assert both.session.peer.sasl_user == "anna" and "SASL user 'anna'" in str(both.session)
        await both.client.open()
        for over in (Remote.AUTH_SASL_INIT, Remote.AUTH_POLKIT):
            with failure(ErrorCode.AUTH_FAILED):
                await both.client.call(over)
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_SASL_STEP, 0, b"x")


@pytest.mark.parametrize(("user", "password"), [("anna", "brush"), ("eve", "pencil"), ("decoys", "pencil")])
async def test_whoever_fails_hears_the_same_and_has_to_begin_anew(
    users: Path, user: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(opened=False, policy=policy(users)) as both:
        scram, begun = await begin(both.client, user, password)
        final = scram.prove(begun.data)
        with pytest.raises(AuthenticationError, match=REFUSAL):
            await both.client.call(Remote.AUTH_SASL_STEP, 0, final)
        assert f"did not prove to be '{user}'" in caplog.text and "proof is wrong" in caplog.text
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_SASL_STEP, 0, final)
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_SASL_START, NAME, 0, scram.first())
        with failure(ErrorCode.RPC):
            await both.client.open()
        await prove(both.client, "anna", "pencil")


async def test_who_begins_too_often_has_to_connect_again(users: Path) -> None:
    async with connected(opened=False, policy=policy(users)) as both:
        for _ in range(TRIES):
            await begin(both.client, "anna", "pencil")
        with pytest.raises(AuthenticationError, match="connect again"):
            await both.client.call(Remote.AUTH_SASL_INIT)
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_SASL_START, NAME, 0, b"n,,n=anna,r=aaaaaaaa")


@pytest.mark.parametrize(
    ("mechanism", "nil", "data"),
    [
        ("PLAIN", 0, b"\0anna\0pencil"),
        ("ANONYMOUS", 1, b""),
        (NAME, 1, b""),
        (NAME, 0, b""),
        (NAME, 0, b"x" * 8192),
        ("", 0, b""),
    ],
)
async def test_what_is_not_offered_or_makes_no_sense_is_refused(
    users: Path, mechanism: str, nil: int, data: bytes
) -> None:
    async with connected(opened=False, policy=policy(users)) as both:
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_SASL_START, NAME, 0, b"n,,n=anna,r=aaaaaaaa")
        await both.client.call(Remote.AUTH_SASL_INIT)
        with pytest.raises(AuthenticationError, match=REFUSAL):
            await both.client.call(Remote.AUTH_SASL_START, mechanism, nil, data)


async def test_who_is_not_on_the_list_stays_outside_and_the_list_may_change(users: Path) -> None:
    asked = policy(users, "b*")
    async with connected(opened=False, policy=asked) as both:
        scram, begun = await begin(both.client, "anna", "pencil")
        with pytest.raises(AuthenticationError, match=REFUSAL):
            await both.client.call(Remote.AUTH_SASL_STEP, 0, scram.prove(begun.data))
        await prove(both.client, "bert", "brush")
    assert asked.sasl is not None
    asked.sasl.allow(SaslSettings(credentials=users, allowed_users=("a*",)))
    async with connected(opened=False, policy=asked) as both:
        await prove(both.client, "anna", "pencil")


async def test_steps_that_overlap_are_refused(
    users: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(saslauthentication, "FAILED_SECONDS", scaled(0.5))
    async with connected(opened=False, policy=policy(users)) as both:
        await both.client.call(Remote.AUTH_SASL_INIT)
        first = both.client.begin(Remote.AUTH_SASL_START, "PLAIN", 1, b"")
        await until(lambda: "the mechanism 'PLAIN' is not offered" in caplog.text)
        with failure(ErrorCode.OPERATION_INVALID):
            await both.client.call(Remote.AUTH_SASL_INIT)
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.answer(first)


async def test_without_a_file_of_users_there_is_no_offer(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        SaslOffer(SaslSettings(credentials=tmp_path / "none"))


async def test_without_encryption_no_password_is_asked_for(users: Path) -> None:
    offer = SaslOffer(SaslSettings(credentials=users))
    assert list(offer.mechanisms(secure=True)) == ["SCRAM-SHA-512", "SCRAM-SHA-256"]
    assert list(offer.mechanisms(secure=False)) == []


class _Wrapping:
    """Believes anybody, and wraps all else as it is."""

    user = "anna"

    def __init__(self) -> None:
        self.layer: SecurityLayer | None = None

    async def step(self, data: bytes | None) -> SaslAnswer:
        self.layer = cast("SecurityLayer", self)
        return SaslAnswer(data=None, complete=True)


@pytest.mark.parametrize("pipelined", [b"", b"\0\0\0\x40unfinished"])
async def test_what_was_said_in_the_clear_does_not_count_once_all_is_wrapped(
    users: Path, monkeypatch: pytest.MonkeyPatch, pipelined: bytes
) -> None:
    asked = policy(users)
    monkeypatch.setattr(asked.sasl, "mechanisms", lambda **_: {"WRAPPING": _Wrapping})
    protected: list[object] = []
    async with connected(opened=False, policy=asked) as both:
        monkeypatch.setattr(both.session._channel, "protect", protected.append)
        await both.client.call(Remote.AUTH_SASL_INIT)
        serial = both.client.connection.call(Remote.AUTH_SASL_START, "WRAPPING", 1, b"")
        both.client.socket.send(b"".join(data for data, _ in both.client.connection.data_to_send()) + pipelined)
        assert (await both.client.answer(serial)).complete == 1
        if pipelined:
            await both.client.hung_up()
        else:
            await until(lambda: protected)
        assert bool(protected) is not bool(pipelined)
