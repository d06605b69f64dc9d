"""What Open vSwitch is told, by a program that writes it down; tests/system/test_switch_ports.py has the switch."""

import errno
from pathlib import Path

import pytest

from insula.engine.interfacespec import PortVlans, SwitchPort
from insula.network.openvswitch import OpenVSwitch

MAC = "52:54:00:00:00:01"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


def switch_of(told: Path, *, status: int = 0) -> OpenVSwitch:
    program = told.with_name("ovs-vsctl")
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\necho "no bridge named x" >&2\nexit {status}\n')
    program.chmod(0o755)
    return OpenVSwitch(program=(str(program),))


@pytest.mark.parametrize(
    ("vlans", "columns"),
    [
        (None, ""),
        (PortVlans(native=7), " tag=7 vlan_mode=access"),
        (PortVlans(tagged=(7, 8)), " vlan_mode=trunk trunks=7,8"),
        (PortVlans(tagged=(8,), native=7), " tag=7 vlan_mode=native-untagged trunks=8,7"),
        (PortVlans(tagged=(8,), native=7, native_tagged=True), " tag=7 vlan_mode=native-tagged trunks=8,7"),
    ],
    ids=["none", "own", "trunk", "native untagged", "native tagged"],
)
def test_a_port_is_added_with_its_vlans_and_what_controllers_look_for(
    told: Path, vlans: PortVlans | None, columns: str
) -> None:
    switch_of(told).add("ovs0", "vnet0", MAC, SwitchPort(interface="i", profile="p", guest="g"), vlans)
    words = told.read_text()
    assert f"--if-exists del-port vnet0 -- add-port ovs0 vnet0{columns} -- set Port vnet0" in words
    for each in (
        f'attached-mac="{MAC}"',
        'iface-id="i"',
        'vm-id="g"',
        'port-profile="p"',
        "other_config:transient=true",
    ):
        assert each in words


def test_a_port_is_tagged_otherwise_and_removed(told: Path) -> None:
    switch = switch_of(told)
    switch.retag("vnet0", PortVlans(native=7))
    switch.retag("vnet0", None)
    switch.remove("vnet0")
    first, second, third = told.read_text().splitlines()
    assert first.endswith("clear Port vnet0 tag trunks vlan_mode -- set Port vnet0 tag=7 vlan_mode=access")
    assert second.endswith("clear Port vnet0 tag trunks vlan_mode")
    assert third.endswith("--if-exists del-port vnet0")


def test_what_the_switch_says_is_passed_on_and_one_that_is_not_there_is_named(told: Path) -> None:
    with pytest.raises(OSError, match="Open vSwitch: no bridge named x") as refused:
        switch_of(told, status=1).remove("vnet0")
    assert refused.value.errno == errno.EIO
    with pytest.raises(OSError, match="no /no/such on this host: install Open vSwitch"):
        OpenVSwitch(program=("/no/such",)).remove("vnet0")
