"""Makes virtual networks on this host: the `NetworkPerformer` that the daemon has.

A start, a change of a running network and its mending are one walk (`_made`), which makes what is missing and leaves
what is right as it is. It goes from what nobody notices to what guests use: the bridge, its addresses, the rules before
packets may pass, forwarding, dnsmasq last. One walk in reverse takes back what there is of it, whoever made it that
far.
"""

import errno
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Protocol

from insula.engine.interfacespec import Address, Route
from insula.errors import InsulaError, OperationFailedError, without_errno
from insula.kernel.processidentity import lives
from insula.model.network import NetworkDefinition
from insula.model.networkforward import ForwardMode
from insula.model.scalars import OnOff, YesNo
from insula.network.bridgerate import share_rate
from insula.network.cardports import traffic_limits
from insula.network.firewall.networkrules import NetworkRules
from insula.network.links import add_address, add_route, all_addresses, delete_link, link, set_mtu, switch
from insula.network.rtnetlink import Rtnetlink
from insula.network.trafficlimits import hold_entering
from insula.network.virtual.bridges import (
    Bridge,
    HostBridge,
    as_made,
    bridge_named,
    change_bridge,
    create_bridge,
    mark,
    set_mac,
)
from insula.network.virtual.dnsmasq import files_of, running_files, served
from insula.network.virtual.dnsmasqprocess import DnsmasqProcess, installed_dnsmasq
from insula.network.virtual.foundnetworks import found_networks
from insula.network.virtual.guestends import GuestEnd, plug_in, settle_floors
from insula.network.virtual.hostdomains import register_domain
from insula.network.virtual.leases import parse_leases, read_lease_file
from insula.network.virtual.networkplan import Marks, NetworkPlanner
from insula.network.virtual.networkrecord import GuestName, Lease, NetworkRecord, Settled
from insula.network.virtual.networksysctls import NetworkSysctls
from insula.network.virtual.performer import NO_PORTS
from insula.network.virtual.rulesofnetwork import rules_of

_log = logging.getLogger(__name__)

_FORWARDING = (ForwardMode.NAT, ForwardMode.ROUTE, ForwardMode.OPEN)


class NetworkFirewall(Protocol):
    """What of the firewall a network needs: see `network.firewall.firewall.Firewall`."""

    def apply(self, *networks: NetworkRules) -> None: ...

    def remove(self, *names: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPlaces:
    """Where an installation keeps what networks need. running: until the next boot; leases: for good."""

    running: Path
    leases: Path


class HostNetworkPerformer:
    """See `NetworkPerformer`. Works in the network namespace of the thread that calls.

    installation: a word that no other installation of this host has; firewall: whose tables bear it.
    """

    def __init__(self, installation: str, places: NetworkPlaces, firewall: NetworkFirewall) -> None:
        self._marks = Marks(installation)
        self._planner = NetworkPlanner(self._marks)
        self._places = places
        self._firewall = firewall
        self._sysctls = NetworkSysctls()

    def found(self) -> tuple[tuple[NetworkDefinition, NetworkRecord], ...]:
        return found_networks(self._marks, self._process)

    def plan(
        self, network: NetworkDefinition, taken: Collection[NetworkDefinition]
    ) -> tuple[NetworkDefinition, NetworkRecord]:
        with _step(network.name, "cannot be planned"):
            return self._planner.plan(network, taken)

    def start(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        try:
            return self._made(network, record, ports=NO_PORTS).record
        except BaseException as failure:
            try:
                self.stop(record)
            except InsulaError as left:
                raise OperationFailedError(f"{failure}; and what was made is not all gone: {left}") from failure
            raise

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        return self._made(network, record, ports=NO_PORTS).record

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> Settled:
        settled = self._made(network, record, ports=ports)
        if record.made and network.bandwidth is not None and network.bandwidth.inbound is not None:
            floors: list[str] = []
            with _step(network.name, "its guests' floors cannot be set aside"), Rtnetlink() as kernel:
                settle_floors(kernel, ports, settled.record.index or 0, floors.append)
            settled = replace(settled, mended=(*settled.mended, *floors))
        return settled

    def stop(self, record: NetworkRecord) -> None:
        if not record.made:
            return
        failures: list[str] = []
        process = self._process(record)

        def without_server() -> None:
            process.end()
            process.remove()

        for what, take_away in (
            ("its dnsmasq", without_server),
            (f"its bridge {record.bridge}", lambda: self._remove_bridge(record)),
            ("its firewall's rules", lambda: self._firewall.remove(record.name)),
        ):
            try:
                take_away()
            except (OSError, InsulaError) as error:
                failures.append(f"{what} may still be there: {without_errno(str(error))}")
        if failures:
            raise OperationFailedError(f"network '{record.name}': {'; '.join(failures)}")

    def forget(self, record: NetworkRecord) -> None:
        with _step(record.name, "its leases cannot be removed"), suppress(FileNotFoundError):
            self._process(record).leases.unlink()

    def name_guests(self, network: NetworkDefinition, record: NetworkRecord, guests: Collection[GuestName]) -> None:
        if not record.serves:
            return
        process = self._process(record)
        with _step(network.name, "guests' names cannot be told to its dnsmasq"), suppress(FileNotFoundError):
            if process.name_guests(running_files(network, guests)) and record.dnsmasq is not None:
                process.tell(record.dnsmasq)

    def leases(self, network: NetworkDefinition, record: NetworkRecord) -> tuple[Lease, ...]:
        if not record.serves:
            return ()
        subnets = [each.interface for each in network.ips if each.interface is not None]
        with _step(network.name, "its leases cannot be read"):
            return parse_leases(read_lease_file(self._process(record).leases), subnets, time())

    def lease_file(self, record: NetworkRecord) -> Path:
        """Return the file that changes when a lease does."""
        return self._process(record).leases

    def _process(self, record: NetworkRecord) -> DnsmasqProcess:
        return DnsmasqProcess(self._places.running / record.uuid, self._places.leases / record.uuid)

    def _made(self, network: NetworkDefinition, record: NetworkRecord, *, ports: Mapping[str, GuestEnd]) -> Settled:
        if not record.made or record.bridge is None:
            return Settled(record=record)
        mended: list[str] = []
        tell = mended.append
        with Rtnetlink() as kernel:
            with _step(network.name, f"its bridge {record.bridge} cannot be made"):
                index, anew = self._bridge(kernel, network, record, tell)
            with _step(network.name, "its bridge cannot have its addresses and routes"):
                self._addresses(kernel, network, index, tell, first=record.index is None)
            if (limits := traffic_limits(network.bandwidth)) is not None:
                with _step(network.name, "its bandwidth cannot be limited"):
                    if limits.inbound is not None:
                        share_rate(kernel, index, limits.inbound)
                    hold_entering(kernel, index, limits.outbound)
            with _step(network.name, "guests' ends cannot be put back on its bridge"):
                plug_in(kernel, ports, index, tell)
        rules = rules_of(network, record.bridge)
        if rules is not None:
            with _step(network.name, "its firewall's rules cannot be set"):
                self._firewall.apply(rules)
        if network.mode in _FORWARDING:
            with _step(network.name, "packets cannot be forwarded"):
                self._forward(network, record.bridge, tell)
        with _step(network.name, "its dnsmasq cannot be started"):
            after = self._serve(network, replace(record, index=index, rules=rules is not None), tell, anew=anew)
        if after != record:
            _register(network, record.bridge)
        return Settled(record=after, mended=tuple(mended))

    def _bridge(
        self, kernel: Rtnetlink, network: NetworkDefinition, record: NetworkRecord, tell: Callable[[str], None]
    ) -> tuple[int, bool]:
        """Return the bridge's index, and whether it was made just now."""
        wanted = _bridge_of(network, record)
        found = bridge_named(kernel, wanted.name)
        anew = found is None
        if found is None:
            kernel.perform(create_bridge(wanted))
            found = bridge_named(kernel, wanted.name)
            if found is None:
                raise OSError(errno.ENODEV, f"bridge {wanted.name} was taken away while it was made")
            tell(f"the bridge {wanted.name} was made anew")
        elif not self._marks.is_ours(found, record):
            raise OSError(errno.EEXIST, f"another's link bears the name {wanted.name}: change <bridge name=''/>")
        if found.alias != self._marks.of(record):
            kernel.perform(mark(found.index, self._marks.of(record)))
        _correct(kernel, wanted, found, tell)
        self._sysctls.keep_quiet(wanted.name, ipv6=_speaks_ipv6(network))
        return found.index, anew

    def _addresses(
        self, kernel: Rtnetlink, network: NetworkDefinition, index: int, tell: Callable[[str], None], *, first: bool
    ) -> None:
        there = {(each.address, each.prefix) for at, each in all_addresses(kernel) if at == index}
        for ip in network.ips:
            if (interface := ip.interface) is None:
                continue
            address = Address(address=str(interface.ip), prefix=interface.network.prefixlen)
            if (address.address, address.prefix) not in there:
                kernel.perform(add_address(index, address))
                tell(f"the address {address} was put back")
        now = link(kernel, index)
        if now is None or not now.up:
            kernel.perform(switch(index, up=True))
            tell("its bridge was switched on")
        for each in network.routes:
            destination = each.network
            route = Route(
                gateway=str(each.gateway),
                destination=str(destination.network_address) if destination.prefixlen else None,
                prefix=destination.prefixlen,
                metric=each.metric,
            )
            try:
                kernel.perform(add_route(index, route))
            except FileExistsError:
                if first:
                    raise
            else:
                tell(f"the route to {destination} was put back")

    def _forward(self, network: NetworkDefinition, bridge: str, tell: Callable[[str], None]) -> None:
        devices = [each.device for each in network.forward.interfaces] if network.forward else []
        ipv6 = any(each.interface is not None and each.interface.version == 6 for each in network.ips)
        for each in self._sysctls.forward(bridge, devices, ipv6=ipv6):
            tell(each)

    def _serve(
        self, network: NetworkDefinition, record: NetworkRecord, tell: Callable[[str], None], *, anew: bool
    ) -> NetworkRecord:
        process = self._process(record)
        if not served(network):
            if record.serves:
                process.end()
            return replace(record, serves=False, dnsmasq=None)
        files = files_of(
            network,
            bridge=record.bridge or "",
            directory=process.directory.absolute(),
            leases=process.leases.absolute(),
        )
        identity = record.dnsmasq
        if identity is not None and not anew and lives(identity):
            if process.same(files):
                return record
            if not process.changed(files) and process.tell(identity):
                return record
        started = process.start(files, installed_dnsmasq())
        tell(f"dnsmasq was started, process {started.pid}")
        return replace(record, serves=True, dnsmasq=started)

    def _remove_bridge(self, record: NetworkRecord) -> None:
        with Rtnetlink() as kernel:
            found = bridge_named(kernel, record.bridge or "")
            if found is not None and self._marks.is_ours(found, record):
                with _gone_is_well():
                    kernel.perform(delete_link(found.index))


def _bridge_of(network: NetworkDefinition, record: NetworkRecord) -> Bridge:
    assert record.bridge is not None
    assert record.mac is not None
    said = network.bridge
    return Bridge(
        name=record.bridge,
        mac=str(record.mac),
        stp=said is not None and said.stp is OnOff.ON,
        delay=(said.delay or 0) if said is not None else 0,
        mtu=network.mtu,
        vlans=network.vlan is not None or any(each.vlan is not None for each in network.port_groups),
    )


def _speaks_ipv6(network: NetworkDefinition) -> bool:
    return any(each.interface is not None and each.interface.version == 6 for each in network.ips)


def _correct(kernel: Rtnetlink, wanted: Bridge, found: HostBridge, tell: Callable[[str], None]) -> None:
    """Make a bridge of ours again what it was made as, whoever changed it."""
    if not as_made(wanted, found):
        kernel.perform(change_bridge(found.index, wanted))
        tell("its bridge speaks STP, waits and tells VLANs apart as is wanted again")
    if wanted.mtu is not None and found.mtu != wanted.mtu:
        kernel.perform(set_mtu(found.index, wanted.mtu))
        tell(f"its bridge's MTU is {wanted.mtu} again")
    if found.mac != wanted.mac:
        kernel.perform(set_mac(found.index, wanted.mac))
        tell(f"its bridge's MAC address is {wanted.mac} again")


def _register(network: NetworkDefinition, bridge: str) -> None:
    """Have the host ask the network about its domain, where that is wanted; what stands in the way is no failure."""
    domain = network.domain
    if domain is None or domain.register is not YesNo.YES:
        return
    servers = [str(each.address) for each in network.ips if each.address is not None]
    if (reason := register_domain(bridge, domain.name, servers)) is not None:
        _log.warning("network '%s': the host does not resolve the names of its domain: %s", network.name, reason)


@contextmanager
def _step(network: str, what: str) -> Iterator[None]:
    """Name the network and the step in what fails."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        raise OperationFailedError(f"network '{network}': {what}: {reason}") from error
    except InsulaError as error:
        if str(error).startswith("network '"):
            raise
        raise type(error)(f"network '{network}': {what}: {error}") from error


@contextmanager
def _gone_is_well() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
