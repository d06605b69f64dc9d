"""Authentication by polkit on the wire: what is offered, what is refused, and how often one may fail."""

import pytest

from insula.daemon.authority.authentication import TRIES
from insula.daemon.authority.policy import AccessPolicy
from insula.daemon.authority.polkit import Polkit, PolkitAnswer, PolkitUnavailableError
from insula.daemon.config import SocketAccess
from insula.daemon.peers import Peer
from insula.daemon.remotesettings import Authenticating
from insula.errorcodes import ErrorCode
from insula.rpc.procedures import Remote
from tests.unit.daemon.clientend import connected, failure

pytestmark = pytest.mark.asyncio
SOMEBODY = Peer(pid=4711, uid=1000, gid=1000, born=99)
ROOT = Peer(pid=1, uid=0, gid=0)


class FakePolkit(Polkit):
    """Gives the verdicts it was given, one after another."""

    def __init__(self, *verdicts: PolkitAnswer | Exception) -> None:
        super().__init__()
        self.verdicts = list(verdicts)
        self.actions: list[str] = []

    async def verdict(self, peer: Peer, action: str, details: object, *, interactive: bool) -> PolkitAnswer:
        assert interactive
        self.actions.append(action)
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


def policy(*verdicts: PolkitAnswer | Exception) -> AccessPolicy:
    return AccessPolicy(wanted=dict.fromkeys(SocketAccess, Authenticating.POLKIT), polkit=FakePolkit(*verdicts))


async def test_nothing_but_authentication_is_answered_before_it_has_succeeded() -> None:
    async with connected(opened=False, policy=policy(PolkitAnswer.YES), peer=SOMEBODY) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (2,)
        for row, arguments in (
            (Remote.CONNECT_OPEN, ("lxc:///system", 0)),
            (Remote.CONNECT_SUPPORTS_FEATURE, (14,)),
            (Remote.CONNECT_GET_HOSTNAME, ()),
        ):
            with failure(ErrorCode.RPC):
                await both.client.call(row, *arguments)
        assert (await both.client.call(Remote.AUTH_POLKIT)).complete == 1
        await both.client.open()
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.AUTH_POLKIT)


async def test_root_has_nothing_to_prove() -> None:
    async with connected(opened=False, policy=policy(), peer=ROOT) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (0,)
        await both.client.open()


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (PolkitAnswer.NO, ErrorCode.AUTH_FAILED),
        (PolkitAnswer.DISMISSED, ErrorCode.AUTH_CANCELLED),
        (PolkitAnswer.NOBODY_TO_ASK, ErrorCode.AUTH_UNAVAILABLE),
        (PolkitUnavailableError("polkit is away"), ErrorCode.AUTH_FAILED),
    ],
)
async def test_each_refusal_has_libvirts_number(verdict: PolkitAnswer | Exception, code: ErrorCode) -> None:
    async with connected(opened=False, policy=policy(verdict), peer=SOMEBODY) as both:
        with failure(code):
            await both.client.call(Remote.AUTH_POLKIT)
        with failure(ErrorCode.RPC):
            await both.client.open()


async def test_who_fails_too_often_has_to_connect_again() -> None:
    verdicts = [PolkitAnswer.NO] * TRIES + [PolkitAnswer.YES]
    async with connected(opened=False, policy=policy(*verdicts), peer=SOMEBODY) as both:
        for _ in range(TRIES + 1):
            with failure(ErrorCode.AUTH_FAILED):
                await both.client.call(Remote.AUTH_POLKIT)


async def test_a_read_only_socket_asks_for_less() -> None:
    asked = policy(PolkitAnswer.YES)
    read_only = SocketAccess.READ_ONLY
    async with connected(opened=False, policy=asked, peer=SOMEBODY, access=read_only) as both:
        await both.client.call(Remote.AUTH_POLKIT)
    assert isinstance(asked.polkit, FakePolkit) and asked.polkit.actions == ["org.libvirt.unix.monitor"]


async def test_a_kind_that_was_not_offered_is_refused() -> None:
    async with connected(opened=False) as both:
        for row, arguments in (
            (Remote.AUTH_POLKIT, ()),
            (Remote.AUTH_SASL_INIT, ()),
            (Remote.AUTH_SASL_START, ("PLAIN", 0, b"")),
        ):
            with failure(ErrorCode.AUTH_FAILED):
                await both.client.call(row, *arguments)
