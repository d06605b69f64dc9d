import json
import uuid

import pytest

from insula.cli.lookup import domain, require_image
from insula.errors import DomainNotFoundError, ImageNotFoundError
from insula.rpc.procedures import Insula, Remote
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


@pytest.mark.parametrize(
    ("names", "told"), [((), "there is none yet"), (("a",), "there is a;"), (("a", "b"), "there are a, b;")]
)
def test_the_images_there_are_are_told_in_words(names: tuple[str, ...], told: str) -> None:
    client = FakeClient({Insula.IMAGE_LIST: json.dumps([{"name": each} for each in names])})
    with pytest.raises(ImageNotFoundError, match=told):
        require_image(client.host, "c")
