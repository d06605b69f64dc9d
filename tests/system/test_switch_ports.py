"""Guests' cards as ports of Open vSwitch, which runs in the test's own host: by its userspace, and by the kernel."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from insula import Address, Container, Engine, VethInterface
from insula.engine.interfacespec import BridgePort, PortVlans, SwitchPort
from insula.errors import InsulaError
from insula.network.netlink import NetlinkPerformer
from insula.network.openvswitch import OpenVSwitch
from tests import sideload
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped", "openvswitch")

IDLE = ("/bin/sleep", "100000")
IDENTITY = "0b9b8d9e-0000-4000-8000-00163e000006"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """Open vSwitch with a bridge `ovs0`."""

    host: TestHost
    socket: str

    @property
    def program(self) -> tuple[str, ...]:
        return (str(sideload.found("ovs-vsctl")), f"--db=unix:{self.socket}")

    def says(self, *words: str) -> str:
        return self.host.run(*self.program, "--timeout=20", *words).stdout.strip()


DATAPATHS = [
    pytest.param("netdev", id="userspace"),
    pytest.param("system", id="kernel", marks=pytest.mark.requires("net.openvswitch")),
]


@pytest.fixture(params=DATAPATHS)
def switch(test_host: TestHost, scratch: Path, request: pytest.FixtureRequest) -> Iterator[Switch]:
    datapath: str = request.param
    beside = sideload.found("ovsdb-tool").parents[1] / "root"
    schema = (beside if beside.is_dir() else Path("/")) / "usr/share/openvswitch/vswitch.ovsschema"
    data, socket = scratch / "conf.db", f"{scratch}/db.sock"
    subprocess.run([str(sideload.found("ovsdb-tool")), "create", str(data), str(schema)], check=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {"OVS_RUNDIR": str(scratch)}}
    with ExitStack() as stack:

        def started(name: str, *words: str) -> None:
            options = ("--no-chdir", f"--unixctl={scratch}/{name}.ctl", "-vconsole:off", "-vsyslog:off")
            process = test_host.start(str(sideload.found(name)), *words, *options, **quiet)
            stack.callback(process.wait)
            stack.callback(process.kill)

        started("ovsdb-server", str(data), f"--remote=punix:{socket}")
        until(lambda: Path(socket).exists(), "the switch's database listening")
        made = Switch(host=test_host, socket=socket)
        made.says("--no-wait", "init")
        started("ovs-vswitchd", f"unix:{socket}", *(["--disable-system"] if datapath == "netdev" else []))
        made.says("add-br", "ovs0", "--", "set", "bridge", "ovs0", f"datapath_type={datapath}")
        yield made
        made.says("del-br", "ovs0")
    for link in ("ovs0", "ovs-netdev", "ovs-system"):
        test_host.run("ip", "link", "delete", link, check=False)


@pytest.fixture
def engine(test_host: TestHost, switch: Switch) -> Iterator[Engine]:
    with test_host.network():
        performer = NetlinkPerformer(switch=OpenVSwitch(program=switch.program))
    with closing(performer), Engine(interfaces=performer) as made:
        yield made


def card(number: int, vlans: PortVlans | None = None) -> VethInterface:
    return VethInterface(
        guest="eth0",
        host=f"port{number}",
        bridge="ovs0",
        mac=f"52:54:00:12:34:{number:02x}",
        addresses=(Address(address=f"10.0.0.{number}", prefix=24),),
        port=BridgePort(vlans=vlans),
        switch=SwitchPort(interface=IDENTITY, profile="web"),
    )


def reaches(guest: Container, address: str) -> bool:
    return guest.run(["ping", "-c", "1", "-W", "1", address]).returncode == 0


def ports(switch: Switch) -> list[str]:
    return sorted(switch.says("list-ports", "ovs0").split())


def test_a_card_is_a_port_that_its_controller_knows_until_the_guest_ends(
    busybox_root: Path, engine: Engine, switch: Switch
) -> None:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(each,), engine=engine))
            for each in (card(2), card(3))
        )
        assert ports(switch) == ["port2", "port3"]
        until(lambda: reaches(first, "10.0.0.3"), "frames passing the switch")
        known = switch.says("get", "Interface", "port2", "external-ids")
        assert IDENTITY in known and "52:54:00:12:34:02" in known and "iface-status=active" in known
        assert "web" in switch.says("get", "Port", "port2", "external-ids")
        second.replug_interface(card(3, PortVlans(native=20)))
        assert switch.says("get", "Port", "port3", "tag") == "20"
        assert not reaches(first, "10.0.0.3")
        first.replug_interface(card(2, PortVlans(native=20)))
        until(lambda: reaches(first, "10.0.0.3"), "both being in one VLAN")
        second.replug_interface(card(3))
        assert switch.says("get", "Port", "port3", "tag") == "[]"
    until(lambda: ports(switch) == [], "no port being left")


def test_one_that_is_attached_is_a_port_until_it_is_detached(
    busybox_root: Path, engine: Engine, switch: Switch
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.attach_interface(card(2, PortVlans(tagged=(10, 20))))
        assert ports(switch) == ["port2"]
        assert switch.says("get", "Port", "port2", "trunks") == "[10, 20]"
        guest.detach_interface("eth0")
        assert ports(switch) == []


def test_what_the_switch_refuses_leaves_neither_port_nor_card(
    busybox_root: Path, engine: Engine, switch: Switch, test_host: TestHost
) -> None:
    nowhere = replace(card(2), bridge="nowhere")
    with pytest.raises(InsulaError, match=r"cannot connect interface 'eth0': Open vSwitch: .*nowhere"):
        Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(nowhere,), engine=engine).start()
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest, pytest.raises(InsulaError):
        guest.attach_interface(nowhere)
    until(lambda: "port2" not in test_host.run("ip", "link").stdout, "the pair being gone")
    assert ports(switch) == []
