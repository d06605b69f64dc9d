"""What is taken away from virtual networks that run, and what makes it again."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from insula.engine.interfacespec import BridgePort
from insula.kernel.processidentity import lives
from insula.model.network import NetworkDefinition
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.networkwatch import NetworkEvent, NetworkWatch
from tests.hostnet import HostNet
from tests.madenetworks import MAC, NAT, Networks, asked
from tests.testhost import TestHost
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("dnsmasq")]


def test_a_killed_dnsmasq_comes_back_with_its_leases(networks: Networks, hostnet: HostNet) -> None:
    network, record = networks.start(NAT)
    assert record.dnsmasq is not None
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)
        os.kill(record.dnsmasq.pid, signal.SIGKILL)
        until(lambda: not lives(record.dnsmasq), "the end of dnsmasq")
        (mended,) = networks.settle(network, record)
        assert mended.startswith("dnsmasq was started")
        assert "192.168.122.7" in asked(guest, "web.lan")
        assert len(networks.host.inside(lambda: networks.performer.leases(network, record))) == 1


def test_one_that_nobody_wrote_down_is_replaced(networks: Networks) -> None:
    network, record = networks.start(NAT)
    networks.records[-1] = unwritten = replace(record, dnsmasq=None)
    networks.settle(network, unwritten)
    assert networks.records[-1].dnsmasq is not None
    assert not lives(record.dnsmasq)


def test_a_bridge_that_was_taken_away_comes_back_with_the_guests_on_it(networks: Networks, hostnet: HostNet) -> None:
    network, record = networks.start(NAT)
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.host.run("ip", "link", "delete", "virbr0")
        mended = networks.settle(network, record, {"vnet0": GuestEnd(mac=MAC, port=BridgePort(isolated=True))})
        assert "the bridge virbr0 was made anew" in mended
        assert "the guest's end vnet0 was put back on it" in mended
        assert "isolated on" in networks.host.run("bridge", "-d", "link", "show", "dev", "vnet0").stdout
        assert networks.lease(guest).startswith("192.168.122.7 ")


def test_addresses_and_settings_that_somebody_took_away_are_put_back(networks: Networks) -> None:
    network, record = networks.start(NAT)
    networks.host.run("ip", "address", "flush", "dev", "virbr0")
    networks.host.run("ip", "link", "set", "virbr0", "down", "alias", "mine")
    networks.host.run("ip", "link", "set", "virbr0", "alias", "")
    mended = networks.settle(network, record)
    assert "the address 192.168.122.1/24 was put back" in mended
    assert "the address fd00:122::1/64 was put back" in mended
    assert "its bridge was switched on" in mended
    assert networks.settle(network, networks.records[0]) == ()


def test_a_network_is_found_by_its_bridge_when_nothing_tells_of_it(networks: Networks) -> None:
    network, record = networks.start(NAT)
    networks.host.run("ip", "link", "add", "br7", "type", "bridge")
    ((definition, found),) = networks.host.inside(networks.performer.found)
    assert found == replace(record, name="virbr0")
    assert (definition.uuid, definition.bridge_name) == (network.uuid, "virbr0")
    assert [each.interface for each in definition.ips] == [each.interface for each in network.ips]
    assert networks.settle(network, record) == (), "what is found is what was made, dnsmasq too"
    networks.host.run("ip", "link", "delete", "br7")


def followed(networks: Networks, network: NetworkDefinition, record: NetworkRecord, act: Callable[[], object]) -> bool:
    """Follow a network as the daemon does, act, and mend what is told as damaged; tell whether that came."""

    async def followed_until_mended() -> bool:
        told: asyncio.Queue[NetworkEvent] = asyncio.Queue()
        watch = NetworkWatch(lambda _uuid, event: told.put_nowait(event))
        try:
            watch.follow(record, leases=networks.performer.lease_file(record))
            await asyncio.sleep(0)
            assert told.empty()
            act()
            while await asyncio.wait_for(told.get(), patience(10)) is not NetworkEvent.DAMAGED:
                pass
            networks.settle(network, record)
            return True
        finally:
            watch.close()

    with networks.host.network():
        return asyncio.run(followed_until_mended())


def test_what_is_taken_away_while_the_daemon_runs_is_told_and_mended(networks: Networks, hostnet: HostNet) -> None:
    network, record = networks.start(NAT)
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)
        assert record.dnsmasq is not None
        assert followed(networks, network, record, partial(os.kill, record.dnsmasq.pid, signal.SIGKILL))
        assert "192.168.122.7" in asked(guest, "web.lan")
    record = networks.records[0]
    for command in (
        ("ip", "address", "delete", "192.168.122.1/24", "dev", "virbr0"),
        ("ip", "link", "set", "virbr0", "down"),
        ("ip", "link", "delete", "virbr0"),
    ):
        assert followed(networks, network, networks.records[0], partial(networks.host.run, *command))
        assert "192.168.122.1/24" in networks.host.run("ip", "address", "show", "dev", "virbr0", "up").stdout


def test_a_lease_is_told_at_once(networks: Networks, hostnet: HostNet) -> None:
    _, record = networks.start(NAT)

    async def until_told(guest: TestHost) -> NetworkEvent:
        told: asyncio.Queue[NetworkEvent] = asyncio.Queue()
        watch = NetworkWatch(lambda _uuid, event: told.put_nowait(event))
        try:
            watch.follow(record, leases=networks.performer.lease_file(record))
            networks.lease(guest)
            return await asyncio.wait_for(told.get(), patience(10))
        finally:
            watch.close()

    with hostnet.guest("vnet0", "virbr0") as guest, networks.host.network():
        assert asyncio.run(until_told(guest)) is NetworkEvent.LEASES
