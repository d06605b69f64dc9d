"""Interfaces come and go in guests that run, and what they are plugged into changes."""

from dataclasses import replace
from typing import Any

import pytest

from insula.engine.interfacespec import MacvlanInterface, MovedInterface, VethInterface
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.errors import (
    DeviceMissingError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    UnsupportedConfigError,
)
from insula.model.interfaces import Interface, LinkState
from insula.model.numbers import Affect
from insula.model.scalars import MacAddress
from insula.service.events import DeviceAdded, DeviceChangeFailed, DeviceRemoved, DeviceUpdated, DomainIdentity
from insula.service.rundirectory import RunDirectory
from tests.unit.service.fakepreparation import FakePreparation
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.limits import BOTH

pytestmark = pytest.mark.asyncio

MAC = "52:54:00:11:22:33"
CARD = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/>{{}}</interface>"
PLAIN = CARD.format("")
ANY = "<interface type='bridge'><source bridge='br0'/></interface>"
MOVED = "<hostdev mode='capabilities' type='net'><source><interface>eth9</interface></source></hostdev>"


async def started(rig: Rig) -> DomainIdentity:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.told.clear()
    return ref


def record(rig: Rig, ref: DomainIdentity) -> ContainerRecord:
    return rig.domains.of(ref).require_run().container.record


def card(rig: Rig, ref: DomainIdentity) -> VethInterface:
    (found,) = record(rig, ref).spec.interfaces
    assert isinstance(found, VethInterface)
    return found


@pytest.mark.parametrize("affect", [Affect.LIVE, Affect.CURRENT, BOTH], ids=["live", "current", "both"])
async def test_a_running_guest_takes_a_card_and_gives_it_back(rig: Rig, affect: Affect) -> None:
    ref = await started(rig)
    before = (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True))
    await rig.domains.attach_device(ref, PLAIN, affect)
    assert card(rig, ref) == VethInterface(guest="eth0", bridge="br0", mac=MAC)
    assert "<target dev='vnet0'/>" in rig.domains.dump_xml(ref)
    assert "vnet0" not in rig.domains.dump_xml(ref, inactive=True)
    assert (MAC in rig.domains.dump_xml(ref, inactive=True)) == (affect == BOTH)
    with pytest.raises(OperationInvalidError, match="is there already"):
        await rig.domains.attach_device(ref, PLAIN, affect)
    await rig.domains.detach_device(ref, PLAIN, affect)
    assert record(rig, ref).spec.interfaces == ()
    assert (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)) == before
    refused = DeviceChangeFailed(domain=ref, device=Interface, reason="attach")
    assert rig.told == [DeviceAdded(domain=ref, alias="net0"), refused, DeviceRemoved(domain=ref, alias="net0")]
    with pytest.raises(DeviceMissingError):
        await rig.domains.detach_device(ref, PLAIN, affect)


async def test_one_without_an_address_has_the_same_in_the_run_and_in_the_definition(rig: Rig) -> None:
    ref = await started(rig)
    await rig.domains.attach_device(ref, PLAIN, Affect.LIVE)
    await rig.domains.attach_device(ref, ANY, BOTH)
    (defined,) = rig.domains.of(ref).require_config().devices.interfaces
    assert [each.mac for each in record(rig, ref).connected] == [MAC, defined.mac]
    assert [each.guest for each in record(rig, ref).connected] == ["eth0", "eth1"]


@pytest.mark.parametrize(
    ("xml", "becomes"),
    [
        (PLAIN.replace("br0", "br1"), {"bridge": "br1"}),
        (CARD.format("<link state='down'/>"), {"up": False}),
        (PLAIN.replace(f"<mac address='{MAC}'/>", "").replace("br0", "br2"), {"bridge": "br2"}),
        (CARD.format("<target dev='vnet0'/>"), {}),
    ],
    ids=["bridge", "link", "the only one", "itself"],
)
async def test_what_a_card_is_plugged_into_changes_while_it_runs(rig: Rig, xml: str, becomes: dict[str, Any]) -> None:
    ref = await started(rig)
    await rig.domains.attach_device(ref, PLAIN, Affect.LIVE)
    rig.told.clear()
    await rig.domains.update_device(ref, xml, Affect.LIVE)
    assert card(rig, ref) == replace(VethInterface(guest="eth0", bridge="br0", mac=MAC), **becomes)
    (told,) = rig.domains.of(ref).current.devices.interfaces
    assert (told.alias, told.target, told.mac) == ("net0", "vnet0", MAC)
    assert [type(each) for each in rig.told] == [DeviceUpdated]


@pytest.mark.parametrize(
    ("xml", "named"),
    [
        (CARD.format("<guest dev='lan0'/>"), "its name in the guest"),
        (CARD.format("<mtu size='1400'/>"), "its MTU"),
        (CARD.format("<ip address='10.0.0.2' prefix='24'/>"), "its addresses"),
        (CARD.format("<target dev='other0'/>"), "its name on the host"),
        (f"<interface type='direct'><mac address='{MAC}'/><source dev='eth1'/></interface>", "its type"),
    ],
)
async def test_what_stays_as_long_as_a_card_is_plugged_in_is_named(rig: Rig, xml: str, named: str) -> None:
    ref = await started(rig)
    await rig.domains.attach_device(ref, PLAIN, Affect.LIVE)
    before = record(rig, ref), rig.domains.dump_xml(ref)
    with pytest.raises(OperationUnsupportedError, match=rf"interface 'eth0': {named}.* stays as long as"):
        await rig.domains.update_device(ref, xml, Affect.LIVE)
    assert (record(rig, ref), rig.domains.dump_xml(ref)) == before


async def test_what_cannot_be_had_changes_neither_guest_nor_definition(rig: Rig) -> None:
    ref = await started(rig)
    before = record(rig, ref), rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)
    with pytest.raises(UnsupportedConfigError, match="virtual network 'nowhere' is not known"):
        await rig.domains.attach_device(ref, "<interface type='network'><source network='nowhere'/></interface>", BOTH)
    assert (record(rig, ref), rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)) == before


async def test_a_device_of_the_host_is_lent_while_the_guest_runs(rig: Rig) -> None:
    ref = await started(rig)
    await rig.domains.attach_device(ref, MOVED, Affect.LIVE)
    assert record(rig, ref).spec.interfaces == (MovedInterface(guest="eth9", device="eth9"),)
    await rig.domains.detach_device(ref, MOVED, Affect.LIVE)
    assert record(rig, ref).spec.interfaces == ()


async def test_a_card_of_a_networks_pool_keeps_the_device_that_it_was_given(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = iter(("eth1", "eth2"))

    def plug(preparation: FakePreparation, card: Interface, guest: str) -> MacvlanInterface:
        up = card.link is not LinkState.DOWN
        return MacvlanInterface(guest=guest, device=next(devices), mac=card.mac, up=up)

    monkeypatch.setattr(FakePreparation, "plug", plug)
    ref = await started(rig)
    pooled = f"<interface type='network'><mac address='{MAC}'/><source network='pool'/>{{}}</interface>"
    await rig.domains.attach_device(ref, pooled.format(""), Affect.LIVE)
    await rig.domains.update_device(ref, pooled.format("<link state='down'/>"), Affect.LIVE)
    assert record(rig, ref).spec.interfaces == (MacvlanInterface(guest="eth0", device="eth1", mac=MAC, up=False),)


async def test_a_later_daemon_makes_guest_and_definition_agree(rig: Rig) -> None:
    """A card that nobody was told of goes, one that is told of is plugged in as told, one that is gone is not told."""
    ref = await started(rig)
    await rig.domains.attach_device(ref, PLAIN, Affect.LIVE)
    managed = rig.domains.of(ref)
    run = managed.require_run()

    def write(now: ContainerRecord) -> None:
        run.record = replace(run.record, container=now.encode(), attaching=True)
        RunDirectory(rig.layout).write(run.record)

    interfaces = rig.engine.interfaces
    await interfaces.attach(run.container, VethInterface(guest="eth5", bridge="br0", mac="52:54:00:00:00:05"), write)
    await interfaces.change_port(run.container, VethInterface(guest="eth0", bridge="br7", mac=MAC), write)
    told = managed.current.devices.interfaces
    gone = replace(told[0], mac=MacAddress("52:54:00:00:00:07"), alias="net9")
    devices = replace(managed.current.devices, interfaces=(*told, gone))
    RunDirectory(rig.layout).write_domain_or_owe(managed.uuid, replace(managed.current, devices=devices))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: "net9" not in successor.domains.dump_xml(ref))
    assert card(successor, ref) == VethInterface(guest="eth0", bridge="br0", mac=MAC)
    assert [each.alias for each in successor.domains.of(ref).current.devices.interfaces] == ["net0"]
    await successor.close()


async def test_an_interface_that_the_record_does_not_know_stays(rig: Rig) -> None:
    """As of a guest whose record was lost: only the keeper knew of it."""
    ref = await started(rig)
    await rig.domains.attach_device(ref, PLAIN, Affect.LIVE)
    container = rig.domains.of(ref).require_run().container
    container.record = replace(container.record, holdings=())
    with pytest.raises(OperationFailedError, match=f"interface {MAC} is not known: restart the domain"):
        await rig.domains.detach_device(ref, PLAIN, Affect.LIVE)
