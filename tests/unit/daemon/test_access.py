"""Access: decided at once by the connection, or by somebody who is asked while other calls are answered."""

import asyncio

import pytest

from insula.daemon.access import Asked, ByConnection
from insula.daemon.dispatch.table import answer
from insula.daemon.incomingcall import IncomingCall, Services
from insula.errors import AuthenticationError, InsulaError, NoSupportError, ReadOnlyError
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeClient, FakeDomains, services_of

pytestmark = pytest.mark.asyncio
DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


class Slow:
    """Somebody who is asked about every call that is more than a look, and takes the time he likes."""

    def __init__(self, refusal: InsulaError | None = None) -> None:
        self.decided = asyncio.Event()
        self.asked: list[str] = []
        self.refusal = refusal

    def check(self, call: Call, services: Services) -> Asked | None:
        async def ask() -> None:
            self.asked += map(str, call.procedure.permissions(call.arguments))
            await self.decided.wait()
            if self.refusal is not None:
                raise self.refusal

        return ask


def asked_of(services: Services, access: Slow | ByConnection, row: Procedure, *arguments: object) -> IncomingCall:
    client = FakeClient(services.events)
    client.access = access
    values = row.arguments.unpack(row.arguments.pack(arguments))
    return IncomingCall(call=Call(row, 1, values, ()), client=client, services=services)


async def test_a_read_only_connection_only_looks() -> None:
    services = services_of(FakeDomains(events=Events()))
    access = ByConnection(read_only=True)

    assert answer(asked_of(services, access, Remote.DOMAIN_GET_STATE, DOM, 0)) == (5, 0)
    for row, arguments in ((Remote.DOMAIN_CREATE, (DOM,)), (Remote.DOMAIN_GET_XML_DESC, (DOM, 1))):
        with pytest.raises(ReadOnlyError, match=row.api):
            answer(asked_of(services, access, row, *arguments))


async def test_what_is_not_allowed_is_refused_before_it_is_said_that_we_cannot_do_it() -> None:
    services = services_of(FakeDomains(events=Events()))
    with pytest.raises(ReadOnlyError):
        answer(asked_of(services, ByConnection(read_only=True), Remote.DOMAIN_SAVE, DOM, "/saved"))
    with pytest.raises(NoSupportError):
        answer(asked_of(services, ByConnection(read_only=False), Remote.DOMAIN_SAVE, DOM, "/saved"))


@pytest.mark.parametrize("row", [Remote.DOMAIN_IS_ACTIVE, Remote.DOMAIN_CREATE])
async def test_who_decides_may_take_time_and_nothing_happens_before(row: Procedure) -> None:
    domains, access = FakeDomains(events=Events()), Slow()
    work = answer(asked_of(services_of(domains), access, row, DOM))
    assert asyncio.iscoroutine(work)
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    assert access.asked == [str(each) for each in row.permissions((DOM,))] and not task.done()
    assert domains.calls == []

    access.decided.set()
    await task
    assert domains.registry.by_uuid(WEB.uuid).is_active is (row is Remote.DOMAIN_CREATE)


async def test_who_decides_may_say_no() -> None:
    domains, access = FakeDomains(events=Events()), Slow(AuthenticationError("not you"))
    access.decided.set()
    work = answer(asked_of(services_of(domains), access, Remote.DOMAIN_DESTROY, DOM))
    assert asyncio.iscoroutine(work)
    with pytest.raises(AuthenticationError, match="not you"):
        await work
    assert domains.calls == []
