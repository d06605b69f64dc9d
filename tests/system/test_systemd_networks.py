"""Networks on a host of systemd's: its resolver knows their names, and firewalld lets their packets through."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from insula.engine.launch.systembus import SystemBus
from insula.model.network import load_network
from insula.network.firewall.firewalld import Firewalld
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from tests.madenetworks import RecordedFirewall
from tests.waiting import scaled, until

pytestmark = pytest.mark.systemd_host

FIREWALLD = "org.fedoraproject.FirewallD1"

REGISTERED = """<network><name>lab</name><bridge name='virbr7' stp='off'/>
  <domain name='lab.example' localOnly='yes' register='yes'/>
  <dns><host ip='192.168.77.9'><hostname>box</hostname></host></dns>
  <ip address='192.168.77.1' prefix='24'/>
</network>"""


def output(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


@contextmanager
def started(service: str) -> Iterator[None]:
    output("systemctl", "start", service)
    try:
        yield
    finally:
        output("systemctl", "stop", service)


@contextmanager
def linked(name: str, *more: str) -> Iterator[None]:
    """A pair of interfaces whose ends see a carrier."""
    output("ip", "link", "add", name, "up", *more, "type", "veth", "peer", "name", "far0")
    try:
        output("ip", "link", "set", "far0", "up")
        yield
    finally:
        output("ip", "link", "delete", name)


def test_the_hosts_resolver_asks_a_network_about_its_domain_and_goes_on_after_its_own_restart(scratch: Path) -> None:
    places = NetworkPlaces(running=scratch / "run", leases=scratch / "leases")
    performer = HostNetworkPerformer("insula-test", places, RecordedFirewall())

    def resolves() -> bool:
        return "192.168.77.9" in output("resolvectl", "query", "box.lab.example", check=False)

    with started("systemd-resolved.service"), ExitStack() as stack:
        network, announced = performer.plan(load_network(REGISTERED), ())
        stack.callback(partial(performer.stop, announced))
        record = performer.start(network, announced)
        stack.callback(partial(performer.stop, record))
        stack.enter_context(linked("port0", "master", "virbr7"))
        until(resolves, "the host resolving a name of the network")
        assert "~lab.example" in output("resolvectl", "domain", "virbr7")
        assert "no" in output("resolvectl", "default-route", "virbr7")
        output("systemctl", "restart", "systemd-resolved.service")
        until(resolves, "the resolver that was started anew knowing the network")


ZONE = "<?xml version='1.0' encoding='utf-8'?><zone target='ACCEPT'/>"


def test_a_networks_bridge_is_in_the_zone_that_it_names_or_in_a_usual_one() -> None:
    from jeepney import DBusAddress, new_method_call

    with ExitStack() as stack:
        bus = SystemBus()
        stack.callback(bus.close)
        firewalld = Firewalld(bus)
        assert firewalld.admit("port0", "insula") == "there is no firewalld for the zone 'insula'"
        zone = Path("/etc/firewalld/zones/insula.xml")
        zone.write_text(ZONE)
        stack.callback(zone.unlink)
        stack.enter_context(started("firewalld.service"))
        stack.enter_context(linked("port0"))

        def zone_of_port() -> object:
            zones = DBusAddress("/org/fedoraproject/FirewallD1", FIREWALLD, f"{FIREWALLD}.zone")
            return bus.call(new_method_call(zones, "getZoneOfInterface", "s", ("port0",)), scaled(10))[0]

        assert "firewalld has no zone 'nowhere': it has " in (firewalld.admit("port0", "nowhere") or "")
        assert firewalld.admit("port0", "trusted") is None
        assert zone_of_port() == "trusted"
        assert firewalld.admit("port0", None) is None
        assert zone_of_port() == "insula"
