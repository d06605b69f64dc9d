"""What there is none of: empty lists, and "not found" with the number and domain that clients branch on."""

import asyncio
from typing import Any

import pytest

from insula.daemon.dispatch.absentcalls import HANDLERS
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import DomainNotFoundError, InsulaError
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef, PoolRef, SecretRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
UUID = bytes(range(16))


def ask(procedure: Procedure, *arguments: Any) -> Any:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return answered(services_of(asyncio.run(make())), procedure, *arguments)


@pytest.mark.parametrize(
    "procedure", [each for each in HANDLERS if each.name.startswith("CONNECT_LIST_ALL_")], ids=lambda row: row.name
)
def test_every_list_of_everything_is_empty_and_well_formed(procedure: Procedure) -> None:
    assert tuple(ask(procedure, 1, 0)) == ((), 0)


@pytest.mark.parametrize(
    "procedure", [each for each in HANDLERS if each.name.startswith("CONNECT_NUM_OF_")], ids=lambda row: row.name
)
def test_every_count_is_zero(procedure: Procedure) -> None:
    assert ask(procedure).num == 0


@pytest.mark.parametrize(
    ("procedure", "arguments", "code", "domain"),
    [
        (Remote.STORAGE_POOL_LOOKUP_BY_NAME, ("p",), ErrorCode.NO_STORAGE_POOL, ErrorDomain.STORAGE),
        (Remote.STORAGE_POOL_REFRESH, (PoolRef("p", UUID), 0), ErrorCode.NO_STORAGE_POOL, ErrorDomain.STORAGE),
        (Remote.STORAGE_VOL_LOOKUP_BY_PATH, ("/x",), ErrorCode.NO_STORAGE_VOL, ErrorDomain.STORAGE),
        (Remote.NODE_DEVICE_LOOKUP_BY_NAME, ("d",), ErrorCode.NO_NODE_DEVICE, ErrorDomain.NODEDEV),
        (Remote.INTERFACE_LOOKUP_BY_NAME, ("eth0",), ErrorCode.NO_INTERFACE, ErrorDomain.INTERFACE),
        (Remote.SECRET_LOOKUP_BY_UUID, (UUID,), ErrorCode.NO_SECRET, ErrorDomain.SECRET),
        (Remote.SECRET_LOOKUP_BY_USAGE, (1, "u"), ErrorCode.NO_SECRET, ErrorDomain.SECRET),
        (
            Remote.DOMAIN_SNAPSHOT_LOOKUP_BY_NAME,
            (DOM, "s", 0),
            ErrorCode.NO_DOMAIN_SNAPSHOT,
            ErrorDomain.DOMAIN_SNAPSHOT,
        ),
        (Remote.DOMAIN_SNAPSHOT_CURRENT, (DOM, 0), ErrorCode.NO_DOMAIN_SNAPSHOT, ErrorDomain.DOMAIN_SNAPSHOT),
    ],
    ids=lambda each: each.name if isinstance(each, Procedure) else "",
)
def test_looking_for_one_says_that_it_is_not_found(
    procedure: Procedure, arguments: tuple[Any, ...], code: ErrorCode, domain: ErrorDomain
) -> None:
    with pytest.raises(InsulaError) as caught:
        ask(procedure, *arguments)
    assert (caught.value.code, caught.value.domain) == (code, domain)
    assert "not found: " in caught.value.message


def test_a_domain_without_snapshots_is_not_a_domain_that_is_not_there() -> None:
    assert ask(Remote.DOMAIN_SNAPSHOT_NUM, DOM, 0).num == 0
    assert tuple(ask(Remote.DOMAIN_LIST_ALL_SNAPSHOTS, DOM, 1, 0)) == ((), 0)
    with pytest.raises(DomainNotFoundError):
        ask(Remote.DOMAIN_SNAPSHOT_NUM, DomainRef("nobody", bytes(16), -1), 0)


def test_secrets_have_references_that_can_be_sent() -> None:
    assert Remote.SECRET_LOOKUP_BY_UUID.results.pack((SecretRef(UUID, 1, "u"),))
