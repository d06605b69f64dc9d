"""What is wrong with a network's addresses although its XML is right: checks as those of `networkchecks`."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from itertools import pairwise

from insula.model.dnsnames import is_dns_name, is_lease_order
from insula.model.interfacechecks import route_problems
from insula.model.interfaces import AddressFamily, family_of
from insula.model.network import NetworkDefinition
from insula.model.networkaddresses import DhcpHost, DhcpRange, LeaseTime, NetworkIp
from insula.model.networksettings import PortForward
from insula.model.repetition import repeated
from insula.model.scalars import IpAddress

IPS_MAX, ROUTES_MAX, FORWARDS_MAX = 64, 1024, 1024
"""How many a network may have: each is looked at together with the others."""
RANGE_MAX = 65535
"""Addresses of one range; libvirt's limit too."""
LEASE_MIN, LEASE_MAX = 120, 2**32 - 2
"""Seconds; dnsmasq takes no less, and counts in 32 bits, of which the highest number is for ever."""
DHCPV6_PREFIX = 64
"""The shortest prefix that dnsmasq gives IPv6 addresses out of."""
PORT_MAX = 65535

Subnet = IPv4Interface | IPv6Interface


def subnet_of(ip: NetworkIp) -> Subnet | None:
    """Return an <ip> with its subnet; None if it has none, which check_subnets tells."""
    try:
        subnet = ip.interface
    except ValueError:
        return None
    # A netmask such as 0.0.0.255 would be read as its complement.
    return None if ip.netmask is not None and subnet is not None and subnet.netmask != ip.netmask else subnet


def check_subnets(network: NetworkDefinition) -> Iterator[str]:
    if len(network.ips) > IPS_MAX:
        yield f"the network has {len(network.ips)} <ip> elements, more than the {IPS_MAX} that are accepted"
        return
    sound: list[Subnet] = []
    for number, ip in enumerate(network.ips, start=1):
        found = tuple(_ip_problems(ip, number))
        yield from found
        subnet = subnet_of(ip)
        if not found and subnet is not None:
            sound.append(subnet)
    ordered = sorted(sound, key=lambda each: (each.version, each.network.network_address.packed))
    for low, high in pairwise(ordered):
        if low.version == high.version and int(high.network.network_address) <= int(low.network.broadcast_address):
            yield f"the subnets of {low} and {high} overlap; give each of them its own"


def _ip_problems(ip: NetworkIp, number: int) -> Iterator[str]:
    address = ip.address
    if address is None:
        yield f"<ip> number {number} has no address"
        return
    if ip.family is not None and ip.family is not family_of(address):
        yield f"{address} is not of the family {ip.family}"
        return
    if ip.netmask is not None and ip.prefix is not None:
        yield f"{address} has a netmask and a prefix; keep one"
    elif ip.netmask is not None and address.version == 6:
        yield f"{address} has a netmask, which IPv6 has not; write a prefix"
    elif ip.prefix is not None and not 0 < ip.prefix <= address.max_prefixlen:
        yield f"{address} cannot have the prefix {ip.prefix}"
    elif (subnet := subnet_of(ip)) is None:
        yield f"{ip.netmask} is no netmask"
    elif address.is_multicast or address.is_loopback or address.is_unspecified or _is_reserved(address):
        yield f"{address} cannot be the address of a bridge; take a private one"
    elif why := _unusable(address, subnet):
        yield f"{address} is {why} of its subnet {subnet.network}; take another"


def _is_reserved(address: IpAddress) -> bool:
    """Whether an address is of 240.0.0.0/4; in IPv6 nearly everything that is not in use yet is called reserved."""
    return isinstance(address, IPv4Address) and address.is_reserved


def _unusable(address: IpAddress, subnet: Subnet) -> str | None:
    """Return why no machine can have an address of this subnet; None: one can."""
    if address.version == 4 and subnet.network.prefixlen <= 30:
        if address == subnet.network.network_address:
            return "the network address"
        if address == subnet.network.broadcast_address:
            return "the broadcast address"
    return None


def check_one_dhcp(network: NetworkDefinition) -> Iterator[str]:
    for family in AddressFamily:
        given = [each for each in network.ips if each.dhcp is not None and each.effective_family is family]
        if sum(bool(each.dhcp and (each.dhcp.ranges or each.dhcp.hosts)) for each in given) > 1:
            yield f"the network has several <dhcp> of the family {family}; keep one"


def check_dhcp_ranges(network: NetworkDefinition) -> Iterator[str]:
    for ip in network.ips:
        subnet = subnet_of(ip)
        if ip.dhcp is None or subnet is None:
            continue
        if ip.dhcp.ranges and subnet.version == 6 and subnet.network.prefixlen < DHCPV6_PREFIX:
            yield f"{subnet.network} has a prefix too short for dhcp: {DHCPV6_PREFIX} at least"
        for each in ip.dhcp.ranges:
            yield from _range_problems(each, subnet)
            yield from _lease_problems(each.lease)
        ordered = sorted(ip.dhcp.ranges, key=lambda each: (each.start.version, int(each.start)))
        for low, high in pairwise(ordered):
            if low.end.version == high.start.version and int(low.end) >= int(high.start):
                yield (
                    f"the dhcp ranges from {low.start} to {low.end} and from {high.start} to {high.end} overlap; make "
                    "them one, or take one out first"
                )


def _range_problems(each: DhcpRange, subnet: Subnet) -> Iterator[str]:
    named = f"the dhcp range from {each.start} to {each.end}"
    if each.start not in subnet.network or each.end not in subnet.network:
        yield f"{named} is not within the subnet {subnet.network}"
    elif int(each.start) > int(each.end):
        yield f"{named} runs backwards"
    elif int(each.end) - int(each.start) >= RANGE_MAX:
        yield f"{named} is of more than {RANGE_MAX} addresses; make it smaller"
    for end, address in (("begins", each.start), ("ends", each.end)):
        if address in subnet.network and (why := _unusable(address, subnet)):
            yield f"{named} {end} with {why} of the subnet {subnet.network}"


def _lease_problems(lease: LeaseTime | None) -> Iterator[str]:
    seconds = None if lease is None else lease.seconds
    if seconds is not None and not LEASE_MIN <= seconds <= LEASE_MAX:
        yield f"a lease of {seconds} seconds is not possible; {LEASE_MIN} at least and {LEASE_MAX} at most, 0 for ever"


def check_dhcp_hosts(network: NetworkDefinition) -> Iterator[str]:
    for ip in network.ips:
        subnet = subnet_of(ip)
        if ip.dhcp is None or subnet is None:
            continue
        for number, host in enumerate(ip.dhcp.hosts, start=1):
            for text in _host_problems(host, subnet):
                yield f"dhcp host {number}: {text}"
            yield from _lease_problems(host.lease)
        hosts = ip.dhcp.hosts
        yield from _said_twice("MAC address", (each.mac for each in hosts))
        yield from _said_twice("name", (each.name.lower() if each.name else None for each in hosts))
        yield from _said_twice("address", (str(each.ip) if each.ip else None for each in hosts))


def _said_twice(what: str, values: Iterable[str | None]) -> Iterator[str]:
    for each in repeated(value for value in values if value):
        yield f"two dhcp hosts have the {what} {each}"


def _host_problems(host: DhcpHost, subnet: Subnet) -> Iterator[str]:
    if subnet.version == 4 and not (host.mac or host.name):
        yield "in a subnet of IPv4 it must have a mac or a name"
    if subnet.version == 6 and not (host.id or host.name):
        yield "in a subnet of IPv6 it must have an id or a name"
    if subnet.version == 6 and host.mac:
        yield f"in a subnet of IPv6 it cannot be known by the MAC address {host.mac}; give its id"
    if host.name is not None and not is_dns_name(host.name):
        yield f"'{host.name}' cannot be the name of a host"
    elif host.name is not None and is_lease_order(host.name):
        yield f"'{host.name}' cannot be the name of a host: dnsmasq takes it for what is said of leases"
    if host.id is not None and not _is_client_id(host.id):
        yield f"'{host.id}' is no id; write numbers in hexadecimal with colons between"
    if host.ip is None:
        yield "it has no ip"
    elif host.ip not in subnet.network:
        yield f"{host.ip} is not within the subnet {subnet.network}"
    elif host.ip == subnet.ip:
        yield f"{host.ip} is the network's own address"
    elif why := _unusable(host.ip, subnet):
        yield f"{host.ip} is {why} of the subnet {subnet.network}"


def _is_client_id(text: str) -> bool:
    numbers = text.split(":")
    return len(text) <= 400 and all(
        0 < len(each) <= 4 and all(digit in "0123456789abcdefABCDEF" for digit in each) for each in numbers
    )


def check_routes(network: NetworkDefinition) -> Iterator[str]:
    if len(network.routes) > ROUTES_MAX:
        yield f"the network has {len(network.routes)} routes, more than the {ROUTES_MAX} that are accepted"
        return
    subnets = [subnet for each in network.ips[:IPS_MAX] if (subnet := subnet_of(each)) is not None]
    for route in network.routes:
        found = tuple(route_problems(route))
        yield from found
        if not found and not any(route.gateway in each.network for each in subnets):
            yield f"the route to {route.destination} has the gateway {route.gateway}, that no subnet of the network has"


def check_port_forwards(network: NetworkDefinition) -> Iterator[str]:
    forwards = network.settings.port_forwards
    if len(forwards) > FORWARDS_MAX:
        yield f"the network has {len(forwards)} port forwards, more than the {FORWARDS_MAX} that are accepted"
        return
    if forwards and not network.mode.owns_bridge:
        yield f"a network of mode '{network.mode}' cannot forward ports: its guests are reached without the host"
    subnets = [subnet for each in network.ips[:IPS_MAX] if (subnet := subnet_of(each)) is not None]
    for each in forwards:
        named = f"the forward of {each.protocol} port {each.start}"
        if each.last < each.start:
            yield f"{named} ends at {each.last}, which runs backwards"
        if (each.to_start or each.start) + each.last - each.start > PORT_MAX:
            yield f"{named} leads to ports above {PORT_MAX}"
        if each.address is not None and each.address.version != each.to.version:
            yield f"{named} leads to {each.to}, which is not of the family of {each.address}"
        if not any(each.to in subnet.network and each.to != subnet.ip for subnet in subnets):
            yield f"{named} leads to {each.to}, which no guest of the network can have"
    ordered = sorted(forwards, key=_listening)
    for low, high in pairwise(ordered):
        if _listening(low)[:-1] == _listening(high)[:-1] and low.last >= high.start:
            yield f"the {high.protocol} port {high.start} is forwarded twice"


def _listening(forward: PortForward) -> tuple[str, int, str, str, int]:
    """Return where a forward listens, the port at last."""
    address = "" if forward.address is None else str(forward.address)
    return (forward.protocol, forward.to.version, forward.device or "", address, forward.start)
