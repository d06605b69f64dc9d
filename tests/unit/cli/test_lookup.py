import uuid

import pytest

from insula.cli.lookup import domain
from insula.errors import DomainNotFoundError
from insula.rpc.procedures import Remote
from tests.unit.cli.fake_client import WEB, FakeClient

MISSING = DomainNotFoundError("no domain with matching name")


def test_a_name_wins_over_an_id() -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB})
    assert domain(client.host, "4711").ref == WEB
    assert client.made(Remote.DOMAIN_LOOKUP_BY_NAME) == [("4711",)]


def test_ids_and_uuids_find_domains_too() -> None:
    client = FakeClient(
        {Remote.DOMAIN_LOOKUP_BY_NAME: MISSING, Remote.DOMAIN_LOOKUP_BY_ID: WEB, Remote.DOMAIN_LOOKUP_BY_UUID: WEB}
    )
    assert domain(client.host, "4711").ref == WEB
    assert client.made(Remote.DOMAIN_LOOKUP_BY_ID) == [(4711,)]
    assert domain(client.host, str(uuid.UUID(bytes=WEB.uuid))).ref == WEB
    assert client.made(Remote.DOMAIN_LOOKUP_BY_UUID) == [(WEB.uuid,)]


def test_what_is_neither_is_not_found() -> None:
    with pytest.raises(DomainNotFoundError):
        domain(FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: MISSING}).host, "nobody")
