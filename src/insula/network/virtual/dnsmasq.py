"""From a definition to the files that dnsmasq is started with. Pure.

Source: dnsmasq(8); libvirt's "Network XML format" for what each element means.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

from insula.errors import UnsupportedConfigError
from insula.model.dnsnames import is_lease_order
from insula.model.network import NetworkDefinition
from insula.model.networkaddresses import DhcpHost, LeaseTime, NetworkDhcp, NetworkIp
from insula.model.networkforward import ForwardMode
from insula.model.networknames import DnsService, NetworkDns
from insula.model.scalars import YesNo
from insula.network.virtual.networkrecord import GuestName

CONFIGURATION, GUESTS, NAMES = "dnsmasq.conf", "guests", "names"
"""The files' names: the configuration; guests with fixed addresses; addresses with names."""
RUNNING_GUESTS, RUNNING_NAMES = "running-guests", "running-names"
"""The same of guests that run, which no definition of a network tells of."""

_WORD = re.compile(r"[^\s\x00-\x1f\x7f,#\"\\/=]+\Z")
"""What may be written into a line as one word, of names that come from a definition."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
"""A host's name without its domain: RFC 1123, 2.1."""
_LINE = re.compile(r"[^\x00-\x1f\x7f]*\Z")
_REFUSED_OPTIONS = frozenset(
    (
        *("bind-dynamic", "bind-interfaces", "except-interface", "interface", "listen-address"),
        *("conf-dir", "conf-file", "conf-script", "dhcp-hostsdir", "dhcp-hostsfile", "dhcp-optsdir"),
        *("dhcp-luascript", "dhcp-script", "dhcp-scriptuser", "script-arp", "script-on-renewal"),
        *("dhcp-leasefile", "dumpfile", "leasefile-ro", "log-facility", "pid-file"),
        *("group", "keep-in-foreground", "no-daemon", "test", "user"),
    )
)
"""Options that name programs, or say what is ours to say: who it is, where it listens, what it writes."""
_MOST_LEASES = 1 << 20
_TAKEN = "insula-taken"
"""Of a client of DHCP that asks for a name which is another's, or nobody's: it gets an address, and no name."""
_NOBODYS = ("isatap", "localhost", "wpad")
"""Names by which hosts look for somebody to trust, or mean themselves. Source: CERT/CC VU#598349; RFC 6761, 6.3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsmasqFiles:
    """What a dnsmasq reads. configuration: read at its start only; guests, names: read again at SIGHUP.

    shown: the directories of the host that it serves files from.
    """

    configuration: str
    guests: str
    names: str
    shown: tuple[Path, ...] = ()


def served(network: NetworkDefinition) -> bool:
    """Whether a dnsmasq belongs to a network: it has a bridge of its own, an address, and something to be served."""
    addresses = [each for each in network.ips if each.address is not None]
    names = network.dns is None or network.dns.enable is not YesNo.NO
    gives = any(each.dhcp is not None or each.tftp_root is not None or _version(each) == 6 for each in addresses)
    return network.mode.owns_bridge and bool(addresses) and (names or gives)


def files_of(network: NetworkDefinition, *, bridge: str, directory: Path, leases: Path) -> DnsmasqFiles:
    """Return the files of a network's dnsmasq, to be written into directory.

    Raises: UnsupportedConfigError for a text that dnsmasq would take for more than it is, or an option that is ours.
    """
    lines = [
        "# written anew at each change of the network",
        "pid-file=/own/pid",
        "except-interface=lo",
        f"interface={_word(bridge)}",
        "bind-dynamic",
        "no-hosts",
        f"addn-hosts={directory / NAMES}",
        f"addn-hosts={directory / RUNNING_NAMES}",
        "strict-order",
        *_dns_lines(network),
        *_dhcp_lines(network, bridge, directory, leases),
        *_boot_lines(network),
        *_foreign_lines(network),
    ]
    ips = [each for each in network.ips if each.address is not None]
    return DnsmasqFiles(
        configuration=_text(lines),
        guests=_text(_guest_lines([host for ip in ips if ip.dhcp for host in ip.dhcp.hosts])),
        names=_text(_name_lines(network)),
        shown=tuple(Path(each.tftp_root) for each in ips if each.tftp_root is not None),
    )


def running_files(network: NetworkDefinition, guests: Collection[GuestName]) -> dict[str, str]:
    """Return the files by which running guests' names are known, by their own names, for a network's dnsmasq.

    What the definition gives an address or a name to is left to that. A guest whose name is an order to dnsmasq is
    known by it only where its address is given.
    """
    hosts = [host for ip in network.ips if ip.dhcp for host in ip.dhcp.hosts]
    macs = {str(host.mac).lower() for host in hosts if host.mac is not None}
    names = [host.name for host in hosts if host.name]
    names += [name for host in (network.dns.hosts if network.dns else ()) for name in host.hostnames]
    taken = {_local(each, network) for each in names}
    named = [each for each in guests if _LABEL.match(each.name) and each.name.lower() not in taken]
    known = [
        each
        for each in named
        if each.mac is not None and each.mac.lower() not in macs and not is_lease_order(each.name)
    ]
    lines = (line for each in known for line in (f"{each.mac},{each.name}", _taken_line(each.name)))
    return {
        RUNNING_GUESTS: _text(lines),
        RUNNING_NAMES: _text(f"{address} {each.name}" for each in named for address in each.addresses),
    }


def _local(name: str, network: NetworkDefinition) -> str:
    """Return a name as DNS compares it, without the domain that dnsmasq puts behind names without a dot."""
    domain = f".{network.domain.name.lower().rstrip('.')}" if network.domain else ""
    return name.lower().rstrip(".").removesuffix(domain)


def _text(lines: Iterable[str]) -> str:
    checked = []
    for line in lines:
        if _LINE.match(line) is None:
            raise UnsupportedConfigError(f"dnsmasq takes no control characters: {line!r}")
        checked.append(line + "\n")
    return "".join(checked)


def _word(text: str) -> str:
    if _WORD.match(text) is None:
        raise UnsupportedConfigError(f'dnsmasq cannot be told the name {text!r}: leave out spaces and , # " \\ / =')
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dns_lines(network: NetworkDefinition) -> Iterator[str]:
    dns = network.dns or NetworkDns()
    isolated = network.mode is ForwardMode.NONE
    if dns.enable is YesNo.NO:
        yield "port=0"
    if domain := network.domain:
        name = _word(domain.name)
        yield f"domain={name}"
        yield "expand-hosts"
        if domain.local_only is YesNo.YES:
            yield f"local=/{name}/"
    if dns.forward_plain_names is YesNo.NO:
        yield "domain-needed"
        yield "local=//"
    if isolated or any(each.domain is None and each.address is not None for each in dns.forwarders):
        yield "no-resolv"
    for forwarder in dns.forwarders:
        where = f"/{_word(forwarder.domain)}/" if forwarder.domain else ""
        port = f"#{forwarder.port}" if forwarder.port is not None else ""
        yield f"server={where}{'#' if forwarder.address is None else f'{forwarder.address}{port}'}"
    for ip in network.ips:
        if ip.local_ptr is YesNo.YES and ip.interface is not None:
            yield from (f"local=/{zone}/" for zone in reverse_zones(ip.interface.network))
    for text in dns.texts:
        values = "".join(f",{_quoted(each)}" for each in (text.value or "").split(",")) if text.value else ""
        yield f"txt-record={_word(text.name)}{values}"
    for service in dns.services:
        yield _service_line(service, network)


def _service_line(service: DnsService, network: NetworkDefinition) -> str:
    domain = service.domain or (network.domain.name if network.domain else None)
    name = f"_{_word(service.service or '')}._{_word(service.protocol or '')}" + (f".{_word(domain)}" if domain else "")
    if service.target is None or service.target == ".":
        return f"srv-host={name}"
    parts = [_word(service.target), str(service.port or 1), str(service.priority or 0), str(service.weight or 0)]
    return f"srv-host={name},{','.join(parts)}"


def reverse_zones(subnet: IPv4Network | IPv6Network) -> Iterator[str]:
    """Yield the names below which the addresses of a subnet stand: several where it ends within a label."""
    size = 8 if subnet.version == 4 else 4
    top = -(-subnet.prefixlen // size)
    if not top:
        return
    for part in subnet.subnets(new_prefix=top * size):
        labels = part.network_address.reverse_pointer.split(".")
        total = subnet.max_prefixlen // size
        yield ".".join(labels[total - top :])


def _dhcp_lines(network: NetworkDefinition, bridge: str, directory: Path, leases: Path) -> Iterator[str]:
    isolated = network.mode is ForwardMode.NONE
    named = any(ip.dhcp and _version(ip) == 4 for ip in network.ips)
    most = 0
    for ip in network.ips:
        interface = ip.interface
        if interface is None:
            continue
        if ip.dhcp is not None:
            yield from _range_lines(ip.dhcp, interface)
            most += sum(int(each.end) - int(each.start) + 1 for each in ip.dhcp.ranges) + len(ip.dhcp.hosts)
        if isinstance(interface, IPv6Interface) and not (ip.dhcp and (ip.dhcp.ranges or ip.dhcp.hosts)):
            yield f"dhcp-range={interface.network.network_address},{'ra-names' if named else 'ra-only'}"
    versions = {_version(ip) for ip in network.ips if ip.dhcp}
    if versions:
        yield "dhcp-authoritative"
        yield "dhcp-no-override"
        free = _names_asked_for([host for ip in network.ips if ip.dhcp for host in ip.dhcp.hosts])
        yield from (f"dhcp-name-match=set:{_TAKEN},{each}" for each in _NOBODYS if each not in free)
        yield f"dhcp-ignore-names=tag:{_TAKEN}"
        yield "no-ping"  # else each first lease takes three seconds
        yield f"dhcp-lease-max={min(max(most, 1), _MOST_LEASES)}"
        yield f"dhcp-hostsfile={directory / GUESTS}"
        yield f"dhcp-hostsfile={directory / RUNNING_GUESTS}"
        yield f"dhcp-leasefile={leases}"
    if 4 in versions:
        if isolated:
            yield "dhcp-option=3"  # no router: nothing leads out
        if network.mtu is not None:
            yield f"dhcp-option=option:mtu,{network.mtu}"
    if any(_version(ip) == 6 for ip in network.ips):
        yield "enable-ra"
        mtu = "" if network.mtu is None else f"mtu:{network.mtu},"
        if isolated:
            yield f"ra-param={bridge},{mtu}0,0"  # a router for nobody
        elif mtu:
            yield f"ra-param={bridge},{mtu}10"
    if not versions:
        yield f"dhcp-leasefile={leases}"


def _version(ip: NetworkIp) -> int:
    return 0 if ip.address is None else ip.address.version


def _range_lines(dhcp: NetworkDhcp, interface: IPv4Interface | IPv6Interface) -> Iterator[str]:
    network = interface.network
    size = str(network.netmask) if isinstance(network, IPv4Network) else str(network.prefixlen)
    for each in dhcp.ranges:
        lease = f",{_duration(each.lease)}" if each.lease else ""
        yield f"dhcp-range={each.start},{each.end},{size}{lease}"
    if dhcp.hosts and not dhcp.ranges:  # nobody but those who are named
        yield f"dhcp-range={network.network_address},static" + ("" if isinstance(network, IPv4Network) else f",{size}")


def _duration(lease: LeaseTime) -> str:
    seconds = lease.seconds
    return "infinite" if seconds is None else str(max(seconds, 120))  # dnsmasq gives nothing for less than two minutes


def _names_asked_for(hosts: Collection[DhcpHost]) -> set[str]:
    """Return the names by which guests are known that are known by nothing else: whoever asks for them gets them."""
    return {host.name.lower() for host in hosts if host.name and host.mac is None and host.id is None}


def _guest_lines(hosts: Collection[DhcpHost]) -> Iterator[str]:
    """Lines of the file of fixed addresses, each with whose its name is. One that is of a DUID may ask by IPv4 too,
    where none has one, and so its name is not kept from others."""
    free = _names_asked_for(hosts)
    for host in hosts:
        if line := _guest_line(host):
            yield line
        if host.name and host.mac is not None and host.name.lower() not in free:
            yield _taken_line(host.name)


def _taken_line(name: str) -> str:
    """A line that only clients meet that are known by nothing else and ask for this name."""
    return f"set:{_TAKEN},{_word(name)}"


def _guest_line(host: DhcpHost) -> str:
    """A line of the file of fixed addresses. An IPv6 guest is known by its DUID, and its address stands in brackets."""
    words: list[str] = []
    if host.mac is not None:
        words.append(str(host.mac))
    if host.id is not None:
        words.append(f"id:{_word(host.id)}")
    if host.name is not None:
        words.append(_word(host.name))
    if host.ip is not None:
        words.append(str(host.ip) if host.ip.version == 4 else f"[{host.ip}]")
    if host.lease is not None:
        words.append(_duration(host.lease))
    return ",".join(words)


def _name_lines(network: NetworkDefinition) -> Iterator[str]:
    for host in network.dns.hosts if network.dns else ():
        if host.ip is not None and host.hostnames:
            yield " ".join((str(host.ip), *map(_word, host.hostnames)))


def _boot_lines(network: NetworkDefinition) -> Iterator[str]:
    roots = [each.tftp_root for each in network.ips if each.tftp_root is not None]
    if roots:
        yield "enable-tftp"
        yield f"tftp-root={_quoted(str(roots[0]))}"
    for ip in network.ips:
        boot = ip.dhcp.boot_file if ip.dhcp else None
        if boot is not None:
            server = f",,{_word(boot.server)}" if boot.server else ""
            yield f"dhcp-boot={_quoted(boot.file)}{server}"


def _foreign_lines(network: NetworkDefinition) -> Iterator[str]:
    for option in network.dnsmasq.options if network.dnsmasq else ():
        name = option.value.partition("=")[0].strip()
        if name in _REFUSED_OPTIONS:
            raise UnsupportedConfigError(
                f"the dnsmasq option '{name}' is Insula's to set, or runs programs: take it out of <dnsmasq:options>"
            )
        yield option.value
