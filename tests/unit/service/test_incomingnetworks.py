"""Documents of networks that clients send."""

import pytest

from insula.errors import SchemaError, XmlError
from insula.service.documents import Documents
from insula.service.incomingnetworks import NETWORK_SCHEMA, IncomingNetworks
from tests.unit.service.networksofrig import LAN, network, network_xml

pytestmark = pytest.mark.asyncio


async def test_a_document_is_read_as_the_model_has_it() -> None:
    assert await IncomingNetworks(Documents()).read(network_xml()) == network()


async def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(XmlError, match="expected a <network>"):
        await IncomingNetworks(Documents()).read("<domain/>")


async def test_what_cannot_work_is_refused_with_what_to_change() -> None:
    with pytest.raises(XmlError, match="needs an <ip>"):
        await IncomingNetworks(Documents()).read(network_xml(more="<forward mode='nat'/>"))


@pytest.mark.requires("libvirt-schemas")
async def test_libvirts_schema_is_asked_where_a_client_wants_it() -> None:
    assert NETWORK_SCHEMA.exists()
    incoming = IncomingNetworks(Documents())
    assert (await incoming.read(network_xml(), by_schema=True)).uuid == LAN
    with pytest.raises(SchemaError, match=r"network\.rng"):
        await incoming.read(network_xml(more="<odd/>"), by_schema=True)
