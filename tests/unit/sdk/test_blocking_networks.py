"""Networks by the blocking client: over a socket, end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import NetworkRef
from insula.sdk.blocking_domains import Host
from insula.sdk.connecting import connect
from tests.fakeserver import FakeServer, replying

LAN = NetworkRef("lan", bytes(range(16)))
NETWORK_ANSWERS = {
    Remote.CONNECT_LIST_ALL_NETWORKS: replying((LAN,), 1),
    Remote.NETWORK_LOOKUP_BY_NAME: replying(LAN),
    Remote.NETWORK_DEFINE_XML_FLAGS: replying(LAN),
    Remote.NETWORK_CREATE: replying(),
    Remote.NETWORK_GET_XML_DESC: replying("<network/>"),
    Remote.NETWORK_IS_ACTIVE: replying(1),
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with FakeServer(tmp_path / "sock", NETWORK_ANSWERS) as server, connect(server.path) as opened:
        yield opened


def test_networks_are_listed_found_and_defined(host: Host) -> None:
    assert [each.name for each in host.networks()] == ["lan"]
    lan = host.network("lan")
    assert repr(lan) == "<network 'lan' 00010203-0405-0607-0809-0a0b0c0d0e0f>"
    assert host.define_network("<network/>").ref == LAN


def test_a_network_has_its_verbs(host: Host) -> None:
    lan = host.network("lan")
    lan.start()
    assert lan.is_active()
    assert lan.xml(inactive=True) == "<network/>"
