"""Networks are known by the marks of their bridges; tests/system/test_networks_mended.py finds a real one."""

from ipaddress import ip_interface
from pathlib import Path

import pytest

from insula.engine.interfacespec import Address
from insula.network.virtual import foundnetworks
from insula.network.virtual.bridges import HostBridge
from insula.network.virtual.dnsmasqprocess import DnsmasqProcess
from insula.network.virtual.foundnetworks import found_networks
from insula.network.virtual.networkplan import Marks
from insula.network.virtual.networkrecord import NetworkRecord

UUID_TEXT = "00000000-0000-0000-0000-000000000010"


def bridge(index: int, alias: str) -> HostBridge:
    return HostBridge(
        index=index,
        name=f"virbr{index}",
        kind="bridge",
        mac="52:54:00:00:00:01",
        mtu=1500,
        up=True,
        alias=alias,
        stp=False,
        delay=0,
        vlans=False,
    )


def test_only_bridges_that_bear_our_mark_are_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aliases = ("", "insula-2 network x", "insula network nonsense", f"other network {UUID_TEXT}")
    bridges = [bridge(at, each) for at, each in enumerate((*aliases, f"insula network {UUID_TEXT}"))]
    addresses = [(4, Address(address="10.9.0.1", prefix=24)), (4, Address(address="fe80::1", prefix=64))]
    monkeypatch.setattr(foundnetworks, "all_bridges", lambda _: bridges)
    monkeypatch.setattr(foundnetworks, "all_addresses", lambda _: addresses)

    def process_of(record: NetworkRecord) -> DnsmasqProcess:
        return DnsmasqProcess(tmp_path / record.uuid, tmp_path / "leases")

    ((network, record),) = found_networks(Marks("insula"), process_of)
    assert (network.name, str(network.uuid), network.bridge_name) == ("virbr4", UUID_TEXT, "virbr4")
    assert [each.interface for each in network.ips] == [ip_interface("10.9.0.1/24")]
    assert (record.index, record.made, record.serves, record.dnsmasq) == (4, True, False, None)
