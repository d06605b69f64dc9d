"""Access by drivers: all must agree, whoever fails says no, and lists hold what may be seen."""

import asyncio
from typing import Any

import pytest

from insula.daemon.authority.accessobjects import AccessObject
from insula.daemon.authority.bydrivers import ByDrivers, Jury
from insula.daemon.complaints import Complaints
from insula.daemon.incomingcall import Services
from insula.daemon.peers import Peer
from insula.errors import AccessDeniedError, DomainNotFoundError, ReadOnlyError
from insula.rpc.permissions import Permission
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeClient, FakeDomains, answered, services_of

SOMEBODY = Peer(pid=4711, uid=1000, gid=1000, born=99)
DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


class Rules:
    """Permits what is listed: `permission name`, or `permission` on anything. error: raised instead of answering."""

    def __init__(self, *permitted: str, error: Exception | None = None) -> None:
        self.permitted = permitted
        self.error = error
        self.asked: list[str] = []

    async def permits(self, client: Peer, permission: Permission, about: AccessObject) -> bool:
        assert client is SOMEBODY
        word = f"{permission} {about.name}".strip()
        self.asked.append(word)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return str(permission) in self.permitted or word in self.permitted


def services() -> Services:
    return services_of(FakeDomains(events=Events()))


def called(*drivers: Rules, row: Procedure, arguments: tuple[Any, ...] = (), read_only: bool = False) -> Any:
    there = services()
    client = FakeClient(there.events)
    named = [(f"driver{index}", each) for index, each in enumerate(drivers)]
    client.access = ByDrivers(Jury(named, SOMEBODY, Complaints()), read_only=read_only)
    return answered(there, row, *arguments, client=client)


def test_what_every_driver_permits_is_answered() -> None:
    first, second = Rules("domain:read web"), Rules("domain:read")
    assert called(first, second, row=Remote.DOMAIN_GET_STATE, arguments=(DOM, 0)) == (5, 0)
    assert first.asked == second.asked == ["domain:read web"]


def test_one_driver_that_says_no_is_enough_and_is_named() -> None:
    with pytest.raises(AccessDeniedError, match="'driver1' denied access: domain:read on domain 'web'"):
        called(Rules("domain:read"), Rules(), row=Remote.DOMAIN_GET_STATE, arguments=(DOM, 0))


def test_a_call_needs_each_of_its_permissions() -> None:
    with pytest.raises(AccessDeniedError, match="domain:read_secure on domain 'web'"):
        called(Rules("domain:read"), row=Remote.DOMAIN_GET_XML_DESC, arguments=(DOM, 1))


def test_a_driver_that_fails_says_no_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AccessDeniedError, match="'driver0' denied access"):
        called(Rules(error=OSError("its server is away")), row=Remote.DOMAIN_GET_STATE, arguments=(DOM, 0))
    assert "'driver0' denied domain:read on domain 'web': its server is away" in caplog.text


def test_a_read_only_connection_is_refused_before_anybody_is_asked() -> None:
    rules = Rules("domain:start")
    with pytest.raises(ReadOnlyError):
        called(rules, row=Remote.DOMAIN_CREATE, arguments=(DOM,), read_only=True)
    assert not rules.asked


def test_lists_and_counts_hold_what_may_be_seen() -> None:
    rules = Rules("connect:search_domains", "domain:getattr mail", "domain:read web")
    listed = called(rules, row=Remote.CONNECT_LIST_ALL_DOMAINS, arguments=(1, 0))
    assert [each.name for each in listed.domains] == ["mail"] and listed.ret == 1
    assert called(rules, row=Remote.CONNECT_NUM_OF_DEFINED_DOMAINS).num == 1
    assert called(rules, row=Remote.CONNECT_LIST_DEFINED_DOMAINS, arguments=(10,)).names == ("mail",)


def test_what_is_not_there_is_said_not_to_be_there() -> None:
    with pytest.raises(DomainNotFoundError):
        called(Rules(), row=Remote.DOMAIN_LOOKUP_BY_NAME, arguments=("nobody",))
