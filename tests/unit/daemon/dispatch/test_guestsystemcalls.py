"""What libvirt asks an agent: which verb each call means, and the time that guests have."""

import asyncio
import time
from typing import Any

import pytest

from insula.errors import (
    ArgumentUnsupportedError,
    InvalidArgumentError,
    OperationInvalidError,
    OperationUnsupportedError,
)
from insula.model.numbers import GuestInfo, ParameterType
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from insula.service.guestfilesystems import GuestFilesystem
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
ROOT = GuestFilesystem(name="sda1", point="/", kind="ext4", device="8:1", whole=True)


class _Domains(FakeDomains):
    """Whose guests have one file system."""

    async def info(self, managed: ManagedDomain, wanted: GuestInfo) -> list[Parameter]:
        self.calls.append(("info", managed.name, wanted))
        return [Parameter("hostname", ParameterType.STRING, "web")]

    async def filesystems(self, managed: ManagedDomain) -> list[GuestFilesystem]:
        return [ROOT]

    async def freeze(self, managed: ManagedDomain, points: object) -> int:
        self.calls.append(("freeze", managed.name, points))
        return 1

    async def thaw(self, managed: ManagedDomain) -> int:
        self.calls.append(("thaw", managed.name))
        return 1

    async def trim(self, managed: ManagedDomain, point: str | None, *, least: int) -> None:
        self.calls.append(("trim", managed.name, point, least))


@pytest.fixture
def domains() -> _Domains:
    async def make() -> _Domains:
        return _Domains(events=Events())

    return asyncio.run(make())


def ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, DOM, *arguments)


def test_each_call_is_a_verb(domains: _Domains) -> None:
    assert [tuple(each) for each in ask(domains, Remote.DOMAIN_GET_GUEST_INFO, 8, 0)[0]] == [("hostname", 7, "web")]
    found, count = ask(domains, Remote.DOMAIN_GET_FSINFO, 0)
    assert ([tuple(each) for each in found], count) == ([("/", "sda1", "ext4", ())], 1)
    assert ask(domains, Remote.DOMAIN_FSFREEZE, ("/",), 0) == (1,)
    assert ask(domains, Remote.DOMAIN_FSTHAW, (), 0) == (1,)
    ask(domains, Remote.DOMAIN_FSTRIM, "/", 4096, 0)
    assert domains.calls == [
        ("info", "web", GuestInfo.HOSTNAME),
        ("freeze", "web", ("/",)),
        ("thaw", "web"),
        ("trim", "web", "/", 4096),
    ]


def test_a_kind_of_information_that_nobody_knows_is_refused(domains: _Domains) -> None:
    with pytest.raises(ArgumentUnsupportedError, match="0x400"):
        ask(domains, Remote.DOMAIN_GET_GUEST_INFO, 0x400, 0)
    with pytest.raises(InvalidArgumentError):
        ask(domains, Remote.DOMAIN_FSFREEZE, (), 1)


def test_a_guest_that_is_off_has_no_time(domains: _Domains) -> None:
    for procedure, arguments in ((Remote.DOMAIN_GET_TIME, (0,)), (Remote.DOMAIN_SET_TIME, (int(time.time()), 0, 0))):
        with pytest.raises(OperationInvalidError, match="not running"):
            ask(domains, procedure, *arguments)


def test_a_guests_time_is_the_hosts_and_can_be_set_to_that(domains: _Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ManagedDomain, "require_run", lambda managed: None)
    seconds, nanoseconds = ask(domains, Remote.DOMAIN_GET_TIME, 0)
    assert abs(seconds - time.time()) < 60 and 0 <= nanoseconds < 1_000_000_000
    ask(domains, Remote.DOMAIN_SET_TIME, int(time.time()), 0, 0)
    ask(domains, Remote.DOMAIN_SET_TIME, 0, 0, 1)
    with pytest.raises(OperationUnsupportedError, match="set that of the host"):
        ask(domains, Remote.DOMAIN_SET_TIME, 1000, 0, 0)
