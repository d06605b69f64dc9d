"""Access by drivers: all must agree, whoever fails says no, and lists hold what may be seen."""

import asyncio
import json
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import pytest

from insula.daemon.authority import bydrivers
from insula.daemon.authority.accessobjects import AccessObject, domain_object
from insula.daemon.authority.bydrivers import ByDrivers, Jury
from insula.daemon.complaints import Complaints
from insula.daemon.incomingcall import Services
from insula.daemon.peers import Peer
from insula.errors import AccessDeniedError, DomainNotFoundError, ReadOnlyError
from insula.model.domain import DomainDefinition
from insula.rpc.permissions import Permission
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from insula.service.managed import ManagedDomain
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.imagestore import Image
from tests.unit.daemon.fakes import WEB, FakeClient, FakeDomains, FakeImages, answered, services_of
from tests.waiting import scaled

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


DOCUMENT = "<domain type='lxc'><name>new</name>{}<memory>65536</memory><os><type>exe</type></os></domain>"
NEEDS_MAIL = (
    "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'><insula:depends-on domain='mail'/>"
    "</insula:domain></metadata>"
)


class Defining(FakeDomains):
    """Reads and defines what it is given."""

    async def read(self, xml: str, *, by_schema: bool = False) -> DomainDefinition:
        return DomainDefinition.load(xml)

    async def define(self, domain: DomainDefinition) -> ManagedDomain:
        return self.registry.add(ManagedDomain(description=domain, definition=domain, events=self.events))


def defined(rules: Rules, metadata: str = "") -> Any:
    there = services_of(Defining(events=Events()))
    client = FakeClient(there.events)
    client.access = ByDrivers(Jury([("driver0", rules)], SOMEBODY, Complaints()), read_only=False)
    return answered(there, Remote.DOMAIN_DEFINE_XML, DOCUMENT.format(metadata), client=client)


def test_a_document_without_a_uuid_is_defined_where_a_driver_decides() -> None:
    rules = Rules("domain:write new", "domain:save new")
    assert defined(rules).dom.name == "new"
    assert rules.asked == ["domain:write new", "domain:save new"]


def test_a_definition_that_starts_anothers_domain_needs_that_to_be_allowed() -> None:
    with pytest.raises(AccessDeniedError, match="'driver0' denied access: domain:start on domain 'mail'"):
        defined(Rules("domain:write", "domain:save"), NEEDS_MAIL)
    assert defined(Rules("domain:write", "domain:save", "domain:start mail"), NEEDS_MAIL).dom.name == "new"


class Slow(Rules):
    """Answers one after the other, each in its own time."""

    def __init__(self, seconds: float, *permitted: str) -> None:
        super().__init__(*permitted)
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self.at_once = self.most = 0

    async def permits(self, client: Peer, permission: Permission, about: AccessObject) -> bool:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            async with self._turn:
                await asyncio.sleep(self._seconds)
                return await super().permits(client, permission, about)
        finally:
            self.at_once -= 1


@pytest.mark.asyncio
async def test_a_long_list_outlasts_no_questions_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has its time from its own turn on: a list of any length is whole."""
    monkeypatch.setattr(bydrivers, "DRIVER_SECONDS", scaled(1.0))
    driver = Slow(scaled(0.04), "domain:getattr")
    jury = Jury([("slow", driver)], SOMEBODY, Complaints())
    things = [domain_object(f"d{number}", None) for number in range(60)]
    assert all(await asyncio.gather(*map(jury.sees, things)))
    assert driver.most == bydrivers.QUESTIONS_AT_ONCE


class Booting(FakeDomains):
    """`web` depends on `mail`."""

    started: Collection[Hashable] | None = None

    def with_needs(self, managed: ManagedDomain) -> list[ManagedDomain]:
        return list(self.registry)

    async def start_with_needs(self, managed: ManagedDomain, *, permitted: Collection[Hashable] | None) -> None:
        self.started = permitted


def test_a_start_of_several_is_told_which_ones_the_client_may_start() -> None:
    there = Booting(events=Events())
    client = FakeClient(there.events)
    rules = Rules("domain:start web", "domain:getattr")
    client.access = ByDrivers(Jury([("driver0", rules)], SOMEBODY, Complaints()), read_only=False)
    answered(services_of(there), Insula.DOMAIN_START_WITH_DEPENDENCIES, DOM, 0, client=client)
    assert there.started == {WEB.uuid}


def test_numbers_of_domains_are_those_of_the_visible_ones() -> None:
    told = json.loads(called(Rules("connect:read", "domain:getattr mail"), row=Insula.DAEMON_INFO, arguments=(0,)).info)
    assert told["domains"] == {"defined": 1, "running": 0}


class Stored(FakeImages):
    def list(self) -> Sequence[Image]:
        return [image(each) for each in ("debian", "secret")]


def image(name: str) -> Image:
    return Image(
        name=name,
        id="1",
        recipe=Recipe(builder="debian"),
        created="2026-01-01T00:00:00Z",
        size=1,
        os="",
        distribution="",
        release="",
        architecture="x86_64",
    )


def test_images_are_listed_as_far_as_they_may_be_seen() -> None:
    there = services_of(FakeDomains(events=Events()), Stored())
    client = FakeClient(there.events)
    rules = Rules("connect:read", "storage_vol:getattr debian")
    client.access = ByDrivers(Jury([("driver0", rules)], SOMEBODY, Complaints()), read_only=False)
    told = json.loads(answered(there, Insula.IMAGE_LIST, 0, client=client).images)
    assert [each["name"] for each in told] == ["debian"]
