"""What people keep with a network comes back as they gave it."""

import pytest

from insula.errorcodes import ErrorCode
from insula.errors import InvalidArgumentError, NetworkMetadataNotFoundError
from insula.model.numbers import MetadataType
from insula.service.networkmetadata import network_metadata_of, with_network_metadata
from tests.unit.service.networksofrig import network

TITLE, DESCRIPTION, ELEMENT = MetadataType.TITLE, MetadataType.DESCRIPTION, MetadataType.ELEMENT


@pytest.mark.parametrize("kind", [TITLE, DESCRIPTION])
def test_a_text_is_set_read_and_taken_away(kind: MetadataType) -> None:
    named = with_network_metadata(network(), kind, "of the shop", key=None, uri=None)
    assert network_metadata_of(named, kind, None) == "of the shop"
    assert with_network_metadata(named, kind, None, key=None, uri=None) == network()


def test_what_is_not_there_is_told_with_the_number_of_networks() -> None:
    with pytest.raises(NetworkMetadataNotFoundError, match="Requested metadata element is not present") as caught:
        network_metadata_of(network(), ELEMENT, "urn:a")
    assert caught.value.code is ErrorCode.NO_NETWORK_METADATA


def test_an_element_stands_beside_the_others() -> None:
    one = with_network_metadata(network(), ELEMENT, "<x y='1'/>", key="a", uri="urn:a")
    two = with_network_metadata(one, ELEMENT, "<z/>", key="b", uri="urn:b")
    assert network_metadata_of(two, ELEMENT, "urn:a") == '<x y="1"/>'
    assert network_metadata_of(two, ELEMENT, "urn:b") == "<z/>"


def test_an_element_is_named_by_its_namespace() -> None:
    with pytest.raises(InvalidArgumentError, match="give its URI"):
        network_metadata_of(network(), ELEMENT, None)
