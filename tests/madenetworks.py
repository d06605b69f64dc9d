"""Virtual networks that are really made in a test's host, and guests that ask them for addresses."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.model.network import NetworkDefinition, load_network
from insula.network.firewall.networkrules import NetworkRules
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.performer import NO_PORTS
from tests.hostnet import HostNet
from tests.testhost import TestHost
from tests.waiting import until

NAT = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0' stp='off'/>
  <domain name='lan' localOnly='yes'/>
  <dns><host ip='192.168.122.1'><hostname>gateway</hostname></host><txt name='note' value='hello there'/></dns>
  <ip address='192.168.122.1' prefix='24'><dhcp><range start='192.168.122.100' end='192.168.122.110'/>
    <host mac='52:54:00:aa:00:01' name='web' ip='192.168.122.7'/></dhcp></ip>
  <ip family='ipv6' address='fd00:122::1' prefix='64'>
    <dhcp><range start='fd00:122::100' end='fd00:122::1ff'/></dhcp></ip>
</network>"""
MAC = "52:54:00:aa:00:01"
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add $ip/$mask dev $interface
[ -z "$router" ] || ip route add default via $router
echo "$ip router=$router dns=$dns domain=$domain mtu=$mtu" > "$LEASE"
"""


@dataclass
class RecordedFirewall:
    """Remembers what it was asked for; the real one has tests of its own. fail: whether the next rules are refused."""

    rules: dict[str, NetworkRules] = field(default_factory=dict)
    fail: bool = False

    def apply(self, *networks: NetworkRules) -> None:
        if self.fail:
            raise OperationFailedError("no rules today")
        self.rules.update({each.name: each for each in networks})

    def remove(self, *names: str) -> None:
        for name in names:
            self.rules.pop(name, None)


@dataclass
class Networks:
    """A performer in a test host, and what it has made."""

    host: TestHost
    performer: HostNetworkPerformer
    firewall: RecordedFirewall
    scratch: Path
    records: list[NetworkRecord] = field(default_factory=list)

    def planned(self, xml: str) -> tuple[NetworkDefinition, NetworkRecord]:
        return self.host.inside(lambda: self.performer.plan(load_network(xml), ()))

    def start(self, xml: str) -> tuple[NetworkDefinition, NetworkRecord]:
        network, announced = self.planned(xml)
        self.records.append(announced)
        record = self.host.inside(lambda: self.performer.start(network, announced))
        self.records[-1] = record
        return network, record

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> tuple[str, ...]:
        settled = self.host.inside(lambda: self.performer.settle(network, record, ports))
        self.records[self.records.index(record)] = settled.record
        return settled.mended

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        updated = self.host.inside(lambda: self.performer.update(network, record))
        self.records[self.records.index(record)] = updated
        return updated

    def stop(self) -> None:
        for record in self.records:
            self.host.inside(partial(self.performer.stop, record))
        self.records.clear()

    def lease(self, guest: TestHost, hostname: str = "bob") -> str:
        """Have a guest ask for an IPv4 address as busybox does; return what it was told."""
        told, script = self.scratch / "lease", self.scratch / "script"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        told.unlink(missing_ok=True)
        command = ("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", str(script), "-x", f"hostname:{hostname}")
        guest.run(*command, env={**os.environ, "LEASE": str(told)})
        lease = told.read_text().strip()
        until(lambda: self._is_written(lease.split()[0]), f"the lease {lease}, which dnsmasq writes behind its answer")
        return lease

    def _is_written(self, address: str) -> bool:
        files = [self.performer.lease_file(each) for each in self.records]
        return any(f" {address} " in file.read_text() for file in files if file.exists())


@pytest.fixture
def networks(hostnet: HostNet, scratch: Path) -> Iterator[Networks]:
    firewall = RecordedFirewall()
    places = NetworkPlaces(running=scratch / "run", leases=scratch / "leases")
    made = Networks(
        host=hostnet.host,
        performer=HostNetworkPerformer("insula-test", places, firewall),
        firewall=firewall,
        scratch=scratch,
    )
    yield made
    made.stop()


def asked(guest: TestHost, name: str, server: str = "192.168.122.1") -> str:
    return guest.run("busybox", "nslookup", name, server, check=False).stdout
