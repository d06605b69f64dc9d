"""What lists tell of domains."""

import json
from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Address, NetworkShare
from insula.engine.launch.holdings import Interfaces
from insula.model.xmlnamespaces import LABELS_NAMESPACE
from insula.network.guestinterfaces import GuestInterface
from insula.service import overview as overviews
from insula.service.managed import Run
from insula.service.overview import addresses_of, overview
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio

CARD = ConnectedInterface(guest="eth0", host="vnet0", host_index=7, bridge=None, mac="52:54:00:00:00:01")


def _interface(name: str, mac: str, *addresses: str) -> GuestInterface:
    found = tuple(Address(address=each, prefix=24) for each in addresses)
    return GuestInterface(name=name, mac=mac, up=True, loopback=name == "lo", addresses=found)


async def _run(rig: Rig, *connected: ConnectedInterface) -> Run:
    run = rig.domains.of(await rig.domains.create_xml(domain_xml())).require_run()
    run.container.record = replace(run.container.record, holdings=(Interfaces(connected=connected),))
    return run


async def test_a_running_domain_tells_what_it_uses(rig: Rig) -> None:
    labels = (
        f"<metadata><l:labels xmlns:l='{LABELS_NAMESPACE}'><l:label name='role'>www</l:label></l:labels></metadata>"
    )
    ref = await rig.domains.create_xml(domain_xml(more=labels))
    told = json.loads(json.dumps(overview(rig.domains.of(ref))))
    assert (told["name"], told["id"], told["state"], told["persistent"]) == ("web", ref.id, 1, False)
    assert told["memory_limit"] == 64 << 20 and isinstance(told["memory"], int) and isinstance(told["cpu_time"], int)
    assert isinstance(told["begun"], int) and told["labels"] == {"role": "www"}


async def test_a_domain_that_is_off_uses_nothing(rig: Rig) -> None:
    told = overview(rig.domains.of(await rig.domains.define(domain_xml())))
    assert [told[each] for each in ("id", "memory", "cpu_time", "begun")] == [None] * 4
    assert told["state"] == 5 and told["persistent"]


async def test_a_guest_is_reached_at_its_own_cards_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces = (
        _interface("lo", "", "127.0.0.1"),
        _interface("renamed", "52:54:00:00:00:01", "10.0.0.2", "fe80::1", "fd00::2"),
        _interface("docker0", "02:42:00:00:00:01", "172.17.0.1"),
    )
    monkeypatch.setattr(overviews, "guest_interfaces", lambda pid: interfaces)
    assert addresses_of([await _run(rig, CARD)]) == [["10.0.0.2", "fd00::2"]]


async def test_a_guest_with_a_share_of_the_hosts_network_is_reached_at_its_part_of_it(rig: Rig) -> None:
    run = await _run(rig)
    share = NetworkShare(addresses=("192.0.2.7", "2001:db8::7"))
    run.container.record = replace(run.container.record, spec=replace(run.container.record.spec, network_share=share))
    assert addresses_of([run]) == [["192.0.2.7", "2001:db8::7"]]


async def test_a_guest_with_addresses_without_number_leaves_room_for_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"10.1.{each}.2" for each in range(200)]
    monkeypatch.setattr(overviews, "guest_interfaces", lambda pid: (_interface("eth0", CARD.mac, *many),))
    assert addresses_of([await _run(rig, CARD)]) == [many[: overviews.ADDRESSES_MOST]]


async def test_a_device_of_the_hosts_without_known_address_counts_as_any(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        overviews, "guest_interfaces", lambda pid: (_interface("eth1", "aa:00:00:00:00:01", "10.1.0.2"),)
    )
    assert addresses_of([await _run(rig, replace(CARD, mac=""))]) == [["10.1.0.2"]]


async def test_who_has_no_card_or_is_gone_has_no_address(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(overviews, "guest_interfaces", gone)
    run = await _run(rig, CARD)
    assert addresses_of([run]) == [[]]
    run.container.record = replace(run.container.record, holdings=())
    monkeypatch.setattr(
        overviews, "guest_interfaces", lambda pid: (_interface("eth0", "aa:00:00:00:00:01", "10.1.0.2"),)
    )
    assert addresses_of([run]) == [[]]
