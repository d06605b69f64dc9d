"""What networks are to be on a host; with real links and routes in tests/system/test_virtual_networks.py."""

from pathlib import Path

from insula.model.network import load_network
from insula.network.virtual.bridges import HostBridge
from insula.network.virtual.networkplan import Marks, NetworkPlanner
from insula.network.virtual.networkrecord import NetworkRecord

RECORD = NetworkRecord(name="n", uuid="u1", bridge="virbr0", made=True, mac="52:54:00:00:00:01")


def bridge(alias: str = "", mac: str = "52:54:00:00:00:01", kind: str = "bridge", name: str = "virbr0") -> HostBridge:
    return HostBridge(
        index=7, name=name, kind=kind, mac=mac, mtu=1500, up=True, alias=alias, stp=False, delay=0, vlans=False
    )


def test_a_bridge_is_known_by_its_mark_and_before_it_has_one_by_its_mac_address() -> None:
    marks = Marks("insula")
    assert marks.is_ours(bridge(alias=marks.of(RECORD), mac="52:54:00:00:00:99"), RECORD)
    assert marks.is_ours(bridge(), RECORD)
    assert not marks.is_ours(bridge(mac="52:54:00:00:00:99"), RECORD)


def test_what_another_installation_or_the_administrator_made_is_not_ours() -> None:
    marks = Marks("insula")
    assert not marks.is_ours(bridge(alias=Marks("insula-2").of(RECORD)), RECORD)
    assert not marks.is_ours(bridge(alias="mine"), RECORD)
    assert not marks.is_ours(bridge(kind="dummy"), RECORD)
    assert not marks.is_ours(bridge(name="virbr1"), RECORD)


def test_the_pool_of_a_physical_function_is_what_it_has_now(tmp_path: Path) -> None:
    function = tmp_path / "bus/0000:03:10.1"
    (function / "net/eth5").mkdir(parents=True)
    (tmp_path / "class/net/eth0/device").mkdir(parents=True)
    (tmp_path / "class/net/eth0/device/virtfn0").symlink_to(function)
    planner = NetworkPlanner(Marks("insula"), tmp_path)
    xml = "<network><name>n</name><forward mode='{}'><pf dev='eth0'/></forward></network>"
    network, record = planner.plan(load_network(xml.format("passthrough")), ())
    assert network.forward is not None
    assert [each.device for each in network.forward.interfaces] == ["eth5"]
    assert (record.made, record.bridge) == (False, None)
    network, _ = planner.plan(load_network(xml.format("hostdev")), ())
    assert network.forward is not None
    assert [str(each) for each in network.forward.addresses] == ["0000:03:10.1"]


def test_a_bridge_of_the_hosts_stays_the_hosts(tmp_path: Path) -> None:
    planner = NetworkPlanner(Marks("insula"), tmp_path)
    _, record = planner.plan(
        load_network("<network><name>n</name><forward mode='bridge'/><bridge name='br0'/></network>"), ()
    )
    assert (record.bridge, record.made, record.serves) == ("br0", False, False)
