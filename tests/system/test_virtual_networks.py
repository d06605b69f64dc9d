"""Virtual networks as guests see them: real bridges, a real dnsmasq, DHCP and names by packets."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.kernel.processidentity import lives
from insula.model.network import load_network
from insula.network.firewall.firewall import Firewall, table_of
from insula.network.virtual.bridges import LEARNT_MOST
from insula.network.virtual.dnsmasq import CONFIGURATION, GUESTS, NAMES, files_of
from insula.network.virtual.dnsmasqprocess import installed_dnsmasq
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from insula.network.virtual.networkrecord import GuestName
from tests.dhcp6 import address_by_dhcp6
from tests.hostnet import BEYOND, BEYOND_6, HOST_ADDRESS, HOST_ADDRESS_6, HostNet, tcp_source, udp_source
from tests.madenetworks import MAC, NAT, Networks, asked
from tests.waiting import until

pytestmark = [pytest.mark.requires("dnsmasq")]


def test_a_guest_gets_its_address_and_the_names_of_the_network(networks: Networks, hostnet: HostNet) -> None:
    network, record = networks.start(NAT)
    assert networks.firewall.rules.keys() == {"default"}
    with hostnet.guest("vnet0", "virbr0") as guest:
        assert networks.lease(guest).startswith("192.168.122.7 router=192.168.122.1 dns=192.168.122.1 domain=lan")
        assert "192.168.122.7" in asked(guest, "web.lan")
        assert "192.168.122.1" in asked(guest, "gateway.lan")
        until(lambda: "fd00:122:" in guest.run("ip", "-6", "route").stdout, "a router's advertisement")
        (lease,) = networks.host.inside(lambda: networks.performer.leases(network, record))
        assert (lease.address, lease.prefix, lease.mac, lease.hostname) == ("192.168.122.7", 24, MAC, "web")


def test_what_is_stopped_leaves_nothing_but_leases(networks: Networks, hostnet: HostNet) -> None:
    before = networks.host.run("ip", "-o", "link").stdout
    network, record = networks.start(NAT)
    assert record.dnsmasq is not None
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)
    networks.stop()
    assert not lives(record.dnsmasq)
    assert networks.host.run("ip", "-o", "link").stdout == before
    assert networks.firewall.rules == {}
    assert list((networks.scratch / "run").iterdir()) == []
    assert len(networks.host.inside(lambda: networks.performer.leases(network, record))) == 1
    networks.host.inside(lambda: networks.performer.forget(record))
    assert networks.host.inside(lambda: networks.performer.leases(network, record)) == ()


def test_dnsmasq_is_nobody_with_three_capabilities_and_sees_nothing_of_the_hosts_files(networks: Networks) -> None:
    (networks.scratch / "secret").write_text("others'")
    _, record = networks.start(NAT)
    assert record.dnsmasq is not None
    process = Path("/proc", str(record.dnsmasq.pid))
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Groups"].strip() == ""
    three = 1 << 10 | 1 << 12 | 1 << 13
    assert {int(status[f"Cap{each}"], 16) for each in ("Prm", "Eff", "Bnd")} == {three}
    assert status["NoNewPrivs"] == "1"
    root = process / "root"
    assert {each.name for each in root.iterdir()}.isdisjoint({"root", "home", "proc", "sys", "srv", "boot"})
    seen = root / networks.scratch.relative_to("/")
    assert sorted(each.name for each in seen.iterdir()) == ["leases", "run"]
    assert [each.name for each in (seen / "leases").iterdir()] == [record.uuid]
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = {each[4] for each in mounts if "rw" in each[5].split(",")}
    assert writable == {str(networks.scratch / "leases" / record.uuid)}


def test_a_network_that_runs_is_left_as_it_is(networks: Networks) -> None:
    network, record = networks.start(NAT)
    assert networks.settle(network, record) == ()


def test_guests_and_names_change_without_a_new_dnsmasq_and_ranges_with_one(
    networks: Networks, hostnet: HostNet
) -> None:
    network, record = networks.start(NAT)
    changed = load_network(NAT.replace("192.168.122.7", "192.168.122.8").replace(">gateway<", ">door<"))
    updated = networks.update(changed, record)
    assert updated.dnsmasq == record.dnsmasq
    with hostnet.guest("vnet0", "virbr0") as guest:
        assert networks.lease(guest).startswith("192.168.122.8 ")
        until(lambda: "192.168.122.1" in asked(guest, "door.lan"), "the new name")
        ranged = load_network(NAT.replace("192.168.122.110", "192.168.122.120"))
        again = networks.update(ranged, updated)
        assert again.dnsmasq != record.dnsmasq
        assert not lives(record.dnsmasq)
        assert len(networks.host.inside(lambda: networks.performer.leases(network, record))) == 1


def test_an_isolated_network_names_no_router(networks: Networks, hostnet: HostNet) -> None:
    networks.start(NAT.replace("<forward mode='nat'/>", "<mtu size='1400'/>"))
    with hostnet.guest("vnet0", "virbr0") as guest:
        assert networks.lease(guest).startswith("192.168.122.7 router= ")
        assert "mtu 1400" in networks.host.run("ip", "link", "show", "virbr0").stdout
        until(lambda: "fd00:122:" in guest.run("ip", "-6", "route").stdout, "a router's advertisement")
        assert "default" not in guest.run("ip", "-6", "route").stdout


@pytest.mark.requires("net.bridge-table-limit")
def test_a_guest_of_many_addresses_fills_its_networks_table_to_a_bound_and_no_other_is_cut_off(
    networks: Networks, hostnet: HostNet
) -> None:
    networks.start(NAT)
    with (
        hostnet.guest("vnet0", "virbr0", mac="52:54:00:aa:00:02") as hostile,
        hostnet.guest("vnet1", "virbr0") as guest,
    ):
        with hostile.network(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            for number in range(LEARNT_MOST + 1000):
                raw.send(b"\xff" * 6 + b"\x02\x00" + number.to_bytes(4, "big") + b"\x88\xb5" + bytes(46))
        table = networks.host.run("bridge", "fdb", "show", "br", "virbr0").stdout
        assert LEARNT_MOST - 10 <= table.count(" 02:00:") + table.count("\n02:00:") <= LEARNT_MOST
        assert networks.lease(guest).startswith("192.168.122.7 ")


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.requires("tc", "busybox")
def test_what_passes_between_a_network_and_the_host_is_held_to_its_bandwidth(
    networks: Networks, hostnet: HostNet
) -> None:
    """What is limited takes as long as its bytes at that rate, or longer: that hangs on no machine's speed."""
    limits = "<bandwidth><inbound average='500' burst='10'/></bandwidth>"
    network, record = networks.start(NAT.replace("<forward", f"{limits}<forward"))
    assert "rate 4Mbit" in networks.host.run("tc", "class", "show", "dev", "virbr0").stdout
    assert networks.settle(network, record) == ()
    (networks.scratch / "little").write_bytes(bytes(500_000))
    (networks.scratch / "first").write_text("there\n")
    # Python's own asks the resolver for the name of its address, which is nobody's to tell here, before it listens.
    serve = ("busybox", "httpd", "-f", "-p", "192.168.122.1:8000", "-h", str(networks.scratch))
    server = networks.host.start(*serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with ended(server), hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)

        def fetch(name: str) -> bool:
            url = f"http://192.168.122.1:8000/{name}"
            return guest.run("busybox", "wget", "-q", "-O", "/dev/null", url, check=False).returncode == 0

        until(lambda: fetch("first"), "the server being there")
        began = time.monotonic()
        assert fetch("little")
        assert time.monotonic() - began > (500_000 - 10_240 - 66_000) / 500_000 * 0.9


@pytest.mark.requires("tc", "net.police")
def test_what_leaves_a_network_is_held_to_its_bandwidth(networks: Networks) -> None:
    limits = "<bandwidth><outbound average='1000'/></bandwidth>"
    network, record = networks.start(NAT.replace("<forward", f"{limits}<forward"))
    for _ in range(2):
        assert "rate 8Mbit" in networks.host.run("tc", "filter", "show", "dev", "virbr0", "ingress").stdout
        assert networks.settle(network, record) == ()


def take_bridge_name(networks: Networks) -> None:
    networks.host.run("ip", "link", "add", "virbr0", "type", "bridge")


def fail_rules(networks: Networks) -> None:
    networks.firewall.fail = True


@pytest.mark.parametrize("spoil", [take_bridge_name, fail_rules])
def test_a_start_that_fails_takes_everything_back(networks: Networks, spoil: Callable[[Networks], None]) -> None:
    network, record = networks.planned(NAT)
    spoil(networks)
    before = networks.host.run("ip", "-o", "address").stdout
    with pytest.raises(OperationFailedError, match="network 'default'"):
        networks.host.inside(lambda: networks.performer.start(network, record))
    assert networks.host.run("ip", "-o", "address").stdout == before
    networks.host.run("ip", "link", "delete", "virbr0", check=False)


def test_what_collides_with_the_host_is_refused_before_anything_is_made(networks: Networks) -> None:
    networks.host.run("ip", "route", "add", "192.168.0.0/16", "via", "203.0.113.1")
    with pytest.raises(OperationFailedError, match=r"192\.168\.122\.0/24 collides with 192\.168\.0\.0/16"):
        networks.planned(NAT)


def test_a_chosen_name_gives_way_to_anothers_link_and_a_given_one_does_not(networks: Networks) -> None:
    networks.host.run("ip", "link", "add", "virbr0", "type", "bridge")
    network, record = networks.planned(NAT)
    assert (network.bridge_name, record.bridge) == ("virbr1", "virbr1")
    networks.host.run("ip", "link", "add", "mine", "type", "bridge")
    with pytest.raises(OperationFailedError, match="another's link bears it"):
        networks.planned(NAT.replace("virbr0", "mine"))
    for name in ("virbr0", "mine"):
        networks.host.run("ip", "link", "delete", name)


def test_guests_reach_the_outside_by_the_hosts_address_and_an_isolated_network_does_not(
    networks: Networks, hostnet: HostNet
) -> None:
    networks.performer = HostNetworkPerformer(
        "insula-test",
        NetworkPlaces(running=networks.scratch / "run", leases=networks.scratch / "leases"),
        Firewall(table_of(networks.scratch)),
    )
    nat = NAT.replace("<forward mode='nat'/>", "<forward mode='nat'><nat ipv6='yes'/></forward>")
    networks.start(nat)
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)
        guest.run("ip", "address", "add", "fd00:122::7/64", "dev", "eth0", "nodad")
        guest.run("ip", "route", "replace", "default", "via", "fd00:122::1")
        for source in (tcp_source, udp_source):
            assert source(guest, hostnet.outside, BEYOND) == HOST_ADDRESS
            assert source(guest, hostnet.outside, BEYOND_6) == HOST_ADDRESS_6
    networks.stop()
    networks.start(nat.replace("<forward mode='nat'><nat ipv6='yes'/></forward>", ""))
    with hostnet.guest("vnet0", "virbr0") as guest:
        networks.lease(guest)
        guest.run("ip", "route", "add", "default", "via", "192.168.122.1")
        assert tcp_source(guest, hostnet.host, "192.168.122.1") == "192.168.122.7"
        assert udp_source(guest, hostnet.outside, BEYOND, seconds=0.5) is None


def test_dnsmasq_itself_understands_all_that_we_write(networks: Networks, tmp_path: Path) -> None:
    network = load_network(
        NAT.replace("<txt ", "<forwarder addr='192.0.2.53'/><txt ")
        .replace("hello there", "a &quot;b&quot; # c,d")
        .replace("prefix='24'", "prefix='24' localPtr='yes'")
        .replace("<ip address", "<mtu size='1400'/><ip address")
    )
    made = files_of(network, bridge="virbr0", directory=tmp_path, leases=tmp_path / "leases")
    for name, text in ((CONFIGURATION, made.configuration), (GUESTS, made.guests), (NAMES, made.names)):
        (tmp_path / name).write_text(text)
    program = installed_dnsmasq()
    assert program.version[0].isdigit()
    assert "DHCP" in program.options
    tried = networks.host.run(program.path, "--test", f"--conf-file={tmp_path / CONFIGURATION}")
    assert "syntax check OK" in tried.stderr


def test_guests_that_run_are_known_by_their_names_whatever_they_call_themselves(
    networks: Networks, hostnet: HostNet
) -> None:
    host = f"<host mac='{MAC}' name='web' ip='192.168.122.7'/>"
    network, record = networks.start(NAT.replace(host, ""))
    guests = [GuestName(name="db", mac=MAC), GuestName(name="files", addresses=("192.168.122.50",))]
    networks.host.inside(partial(networks.performer.name_guests, network, record, guests))
    with hostnet.guest("vnet0", "virbr0") as guest:
        address = networks.lease(guest, hostname="gateway").split()[0]
        assert address in asked(guest, "db.lan")
        assert address not in asked(guest, "gateway.lan")
        assert "192.168.122.50" in asked(guest, "files.lan")
        networks.host.inside(partial(networks.performer.name_guests, network, record, guests[:1]))
        until(lambda: "192.168.122.50" not in asked(guest, "files.lan"), "the name being forgotten")


@pytest.mark.parametrize("name", ["web", "db", "wpad", "LocalHost"])
def test_no_stranger_gets_the_name_of_a_guest_that_has_not_asked_yet_or_one_that_is_nobodys(
    networks: Networks, hostnet: HostNet, name: str
) -> None:
    """By a MAC address that nobody knows; it gets an address, and any other name."""
    network, record = networks.start(NAT)
    guests = [GuestName(name="db", mac="52:54:00:00:00:0b")]
    networks.host.inside(partial(networks.performer.name_guests, network, record, guests))
    with hostnet.guest("vnet0", "virbr0") as guest:
        guest.run("ip", "link", "set", "eth0", "address", "52:54:00:00:00:99")
        address = networks.lease(guest, hostname="other").split()[0]
        assert address in asked(guest, "other.lan")
        assert networks.lease(guest, hostname=name).split()[0] == address
        assert address not in asked(guest, f"{name}.lan")
        six = address_by_dhcp6(guest, "52:54:00:00:00:99", name)
        assert six not in asked(guest, f"{name}.lan")


def test_a_guest_is_given_an_ipv6_address_and_its_lease_is_told(networks: Networks, hostnet: HostNet) -> None:
    network, record = networks.start(NAT)
    with hostnet.guest("vnet0", "virbr0") as guest:
        address = address_by_dhcp6(guest, MAC, "six")
        assert address.startswith("fd00:122::1")
        look = partial(networks.performer.leases, network, record)
        (lease,) = until(lambda: networks.host.inside(look), "the lease, which dnsmasq writes behind its answer")
        assert (lease.address, lease.prefix, lease.version, lease.mac) == (address, 64, 6, MAC)
        assert (lease.client, lease.iaid) == (f"00:03:00:01:{MAC}", "7")
