"""`net-update`: an element of what is live, of what is defined, or of both: all of it, or none."""

import shutil

import pytest

from insula.errors import OperationFailedError, OperationInvalidError, XmlError
from insula.model.network import NetworkDefinition
from insula.model.networknumbers import NetworkUpdateCommand, NetworkUpdateSection
from insula.model.numbers import Affect
from insula.service.managednetwork import ManagedNetwork
from insula.service.networkruns import NetworkRuns
from tests.unit.service.fakes import Rig
from tests.unit.service.networksofrig import LAN, network, started, verbs_of

pytestmark = pytest.mark.asyncio

HOST = "<host mac='52:54:00:00:00:0{number}' ip='10.9.0.{number}'/>"
BOTH = Affect.LIVE | Affect.CONFIG


async def add_host(rig: Rig, managed: ManagedNetwork, affect: Affect, number: int = 4) -> None:
    await verbs_of(rig).update(
        managed,
        NetworkUpdateCommand.ADD_LAST,
        NetworkUpdateSection.IP_DHCP_HOST,
        parent_index=-1,
        xml=HOST.format(number=number),
        affect=affect,
    )


def hosts(of: NetworkDefinition | None) -> list[str]:
    assert of is not None
    return [str(host.ip) for ip in of.ips if ip.dhcp is not None for host in ip.dhcp.hosts]


@pytest.mark.parametrize(
    ("affect", "live", "config"),
    [
        (Affect.CURRENT, ["10.9.0.4"], []),
        (Affect.LIVE, ["10.9.0.4"], []),
        (Affect.CONFIG, [], ["10.9.0.4"]),
        (BOTH, ["10.9.0.4"], ["10.9.0.4"]),
    ],
    ids=str,
)
async def test_what_is_meant_is_changed_and_kept(rig: Rig, affect: Affect, live: list[str], config: list[str]) -> None:
    managed = await started(rig)
    await add_host(rig, managed, affect)
    assert (hosts(managed.current), hosts(managed.config)) == (live, config)
    assert hosts(rig.performer.running[str(LAN)]) == live
    (recorded,) = NetworkRuns(rig.layout.running_networks).load().runs
    assert hosts(recorded.network) == live
    assert ("10.9.0.4" in (rig.layout.network_definitions / "lan.xml").read_text()) is bool(config)


async def test_an_inactive_network_changes_in_its_definition(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    await add_host(rig, managed, Affect.CURRENT)
    assert hosts(managed.config) == ["10.9.0.4"]
    with pytest.raises(OperationInvalidError, match="network is not running"):
        await add_host(rig, managed, Affect.LIVE, 5)


async def test_a_change_that_the_host_refuses_is_not_there(rig: Rig) -> None:
    managed = await started(rig)
    rig.performer.refusals["update"] = "dnsmasq does not take it"
    with pytest.raises(OperationFailedError, match="dnsmasq does not take it"):
        await add_host(rig, managed, BOTH)
    assert (hosts(managed.current), hosts(managed.config)) == ([], [])
    assert "a change failed, and could not be taken back wholly" in managed.notices[0]
    (recorded,) = NetworkRuns(rig.layout.running_networks).load().runs
    assert hosts(recorded.network) == []


async def test_a_live_change_is_taken_back_where_the_definition_cannot_be_written(rig: Rig) -> None:
    managed = await started(rig)
    shutil.rmtree(rig.layout.network_definitions)
    rig.layout.network_definitions.write_text("no directory")
    with pytest.raises(OperationFailedError, match="cannot save the definition of network 'lan'"):
        await add_host(rig, managed, BOTH)
    assert (hosts(managed.current), hosts(managed.config)) == ([], [])
    assert hosts(rig.performer.running[str(LAN)]) == []


async def test_one_that_one_definition_refuses_changes_neither(rig: Rig) -> None:
    managed = await started(rig)
    await add_host(rig, managed, Affect.CONFIG)
    with pytest.raises((OperationInvalidError, XmlError)):
        await add_host(rig, managed, BOTH)
    assert (hosts(managed.current), hosts(managed.config)) == ([], ["10.9.0.4"])
