"""`net-update`: one element of a network's definition added, deleted or modified, on a definition alone.

Which elements there are, how one is found, and what is refused, is libvirt's. Source: its network XML format, and what
its own parser does with the same documents (tests/conformance).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, OperationInvalidError, OperationUnsupportedError, XmlError
from insula.model.dnschecks import service_problems
from insula.model.network import NetworkDefinition, PortGroup, dump_network, load_network
from insula.model.networkaddresses import DhcpHost, DhcpRange, NetworkDhcp
from insula.model.networkchecks import validate_network
from insula.model.networkforward import ForwardInterface
from insula.model.networknames import DnsHost, DnsService, DnsText, NetworkDns
from insula.model.networknumbers import NetworkUpdateCommand, NetworkUpdateSection
from insula.model.scalars import YesNo
from insula.model.xmlchildren import with_changed_child, with_child, without_child
from insula.model.xmlmap import Mapped, Part, plan_of
from insula.model.xmlreader import load

AnyMapped = TypeVar("AnyMapped", bound=Mapped)
Owner = TypeVar("Owner", bound=Mapped)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Update:
    """parent_index: which <ip> is meant, -1 the one that fits."""

    command: NetworkUpdateCommand
    parent_index: int
    xml: str

    @property
    def adds(self) -> bool:
        return self.command in (NetworkUpdateCommand.ADD_FIRST, NetworkUpdateCommand.ADD_LAST)

    @property
    def deletes(self) -> bool:
        return self.command is NetworkUpdateCommand.DELETE

    def added(self, owner: Owner, field: str, child: Mapped) -> Owner:
        return with_child(owner, field, child, first=self.command is NetworkUpdateCommand.ADD_FIRST)

    def element(self, cls: type[AnyMapped], name: str, *, modified: bool = False) -> AnyMapped:
        """Return the element that the update is about. modified: whether such an element can be modified.

        Raises: XmlError, OperationUnsupportedError.
        """
        if self.command is NetworkUpdateCommand.MODIFY and not modified:
            raise OperationUnsupportedError(f"a <{name}> of this section cannot be modified; delete it and add another")
        return load(cls, name, self.xml)


def updated(network: NetworkDefinition, command: int, section: int, parent_index: int, xml: str) -> NetworkDefinition:
    """Return network, live or not, with one element of it changed. The result has passed the checks.

    command, section: numbers of NetworkUpdateCommand and NetworkUpdateSection; parent_index: which <ip> of the network
    is meant, -1 the one with DHCP, or else the first; xml: the element; to delete one, as much of it as tells it.
    Raises: OperationUnsupportedError for what cannot be updated, OperationInvalidError for what is not there or is
    there already, XmlError, and what the checks find.
    """
    try:
        known = next((each for each in NetworkUpdateSection if each == section), NetworkUpdateSection.NONE)
        change = _SECTIONS.get(known)
        if change is None:
            named = known.name.lower().replace("_", " ") if known else f"numbered {section}"
            raise OperationUnsupportedError(
                f"the section {named} of the network '{network.name}' cannot be updated; see net-edit"
            )
        if command not in tuple(NetworkUpdateCommand)[1:]:
            raise OperationUnsupportedError(f"an update with the command {command} is not known")
        update = _Update(command=NetworkUpdateCommand(command), parent_index=parent_index, xml=xml)
        changed = load_network(dump_network(change(network, update)), Part.LIVE, bounded=False)
        validate_network(changed)
    except InsulaError as error:
        error.domain = ErrorDomain.NETWORK
        raise
    return changed


def _dhcp_host(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    index = _ip_index(network, update)
    host = update.element(DhcpHost, "host", modified=True)
    dhcp = network.ips[index].dhcp or NetworkDhcp()
    if update.adds:
        _refuse_second_dhcp(network, index)
        if any(_is_same_host(host, each) for each in dhcp.hosts):
            raise OperationInvalidError(
                f"the network '{network.name}' has a dhcp host with this MAC address, name or address; delete it first"
            )
        return _with_dhcp(network, index, update.added(dhcp, "hosts", host))
    if not (host.mac or host.name or host.ip):
        raise XmlError("a dhcp host must have a 'mac', 'name' or 'ip'")
    found = _is_same_host if update.command is NetworkUpdateCommand.MODIFY else _is_told_by
    at = next((at for at, each in enumerate(dhcp.hosts) if found(host, each)), None)
    if at is None:
        raise OperationInvalidError(f"the network '{network.name}' has no such dhcp host")
    if update.deletes:
        return _with_dhcp(network, index, without_child(dhcp, "hosts", at))
    return _with_dhcp(network, index, with_changed_child(dhcp, "hosts", at, host))


def _is_same_host(host: DhcpHost, other: DhcpHost) -> bool:
    return bool(
        (host.mac and host.mac == other.mac)
        or (host.name and host.name == other.name)
        or (host.ip and host.ip == other.ip)
    )


def _is_told_by(host: DhcpHost, other: DhcpHost) -> bool:
    """Whether everything that host says is true of other."""
    return (
        host.mac in (None, other.mac) and host.name in (None, "", other.name) and (not host.ip or host.ip == other.ip)
    )


def _dhcp_range(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    index = _ip_index(network, update)
    wanted = update.element(DhcpRange, "range")
    if update.adds:
        _refuse_second_dhcp(network, index)
    dhcp = network.ips[index].dhcp or NetworkDhcp()
    same = (at for at, each in enumerate(dhcp.ranges) if (each.start, each.end) == (wanted.start, wanted.end))
    at = next(same, None)
    named = f"dhcp range from {wanted.start} to {wanted.end}"
    if update.adds:
        if at is not None:
            raise OperationInvalidError(f"the network '{network.name}' has the {named} already")
        return _with_dhcp(network, index, update.added(dhcp, "ranges", wanted))
    if at is None:
        raise OperationInvalidError(f"the network '{network.name}' has no {named}")
    return _with_dhcp(network, index, without_child(dhcp, "ranges", at))


def _ip_index(network: NetworkDefinition, update: _Update) -> int:
    """Return where the <ip> stands that is meant. Raises: OperationInvalidError if there is none."""
    if update.parent_index >= len(network.ips):
        raise OperationInvalidError(f"the network '{network.name}' has no <ip> number {update.parent_index}, from 0 on")
    if update.parent_index >= 0:
        return update.parent_index
    numbered = list(enumerate(network.ips))
    with_dhcp = (at for at, each in numbered if each.dhcp is not None and (each.dhcp.ranges or each.dhcp.hosts))
    by_family = (at for at, each in sorted(numbered, key=lambda pair: pair[1].effective_family))
    index = next(with_dhcp, None)
    if index is None:
        index = next(by_family, None)
    if index is None:
        raise OperationInvalidError(f"the network '{network.name}' has no <ip>, and so no dhcp")
    return index


def _refuse_second_dhcp(network: NetworkDefinition, index: int) -> None:
    family = network.ips[index].effective_family
    for at, each in enumerate(network.ips):
        has = each.dhcp is not None and (each.dhcp.ranges or each.dhcp.hosts)
        if at != index and has and each.effective_family is family:
            raise OperationInvalidError(
                f"dhcp is possible for one <ip> of the family {family} in a network, and '{network.name}' has it for "
                f"{each.address}"
            )


def _with_dhcp(network: NetworkDefinition, index: int, dhcp: NetworkDhcp) -> NetworkDefinition:
    return with_changed_child(network, "ips", index, replace(network.ips[index], dhcp=dhcp))


def _forward_interface(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    wanted = update.element(ForwardInterface, "interface")
    forward = network.forward
    if forward is None:
        raise OperationInvalidError(f"the network '{network.name}' has no <forward>")
    at = next((at for at, each in enumerate(forward.interfaces) if each.device == wanted.device), None)
    if update.adds:
        if at is not None:
            raise OperationInvalidError(f"the network '{network.name}' has the interface '{wanted.device}' already")
        added = update.added(forward, "interfaces", ForwardInterface(device=wanted.device, foreign=wanted.foreign))
        return replace(network, forward=replace(added, device=None))
    if at is None:
        raise OperationInvalidError(f"the network '{network.name}' has no interface '{wanted.device}'")
    if forward.interfaces[at].connections:
        raise OperationInvalidError(
            f"the interface '{wanted.device}' of the network '{network.name}' is in use by "
            f"{forward.interfaces[at].connections} guests' cards; detach those first"
        )
    return replace(network, forward=replace(without_child(forward, "interfaces", at), device=None))


def _port_group(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    group = update.element(PortGroup, "portgroup", modified=True)
    at = next((at for at, each in enumerate(network.port_groups) if each.name == group.name), None)
    if at is None and not update.adds:
        raise OperationInvalidError(f"the network '{network.name}' has no portgroup '{group.name}'")
    if at is not None and update.adds:
        raise OperationInvalidError(f"the network '{network.name}' has the portgroup '{group.name}' already")
    if at is not None and update.deletes:
        return without_child(network, "port_groups", at)
    default = next((each for each in network.port_groups if each.default is YesNo.YES), None)
    if group.default is YesNo.YES and default is not None and default.name != group.name:
        raise OperationInvalidError(
            f"the default portgroup of the network '{network.name}' is '{default.name}'; there can be only one"
        )
    if at is not None:
        return with_changed_child(network, "port_groups", at, group)
    return update.added(network, "port_groups", group)


def _dns_host(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    host = update.element(DnsHost, "host", modified=True)
    if update.deletes and host.ip is None and not host.hostnames:
        raise XmlError("a dns host must have an 'ip' or a <hostname>")

    if update.command is NetworkUpdateCommand.MODIFY and not host.hostnames:
        raise XmlError(f"the dns host {host.ip} has no <hostname> to be known by afterwards")

    def is_meant(other: DnsHost) -> bool:
        # Several addresses may have one name; a deletion finds them by it.
        same_name = update.deletes and bool(set(host.hostnames) & set(other.hostnames))
        return (host.ip is not None and host.ip == other.ip) or same_name

    return _with_record(network, update, "hosts", host, is_meant)


def _dns_text(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    text = update.element(DnsText, "txt", modified=True)
    if update.command is NetworkUpdateCommand.MODIFY and text.value is None:
        raise OperationInvalidError(f"the txt record '{text.name}' has no value to have afterwards")
    return _with_record(network, update, "texts", text, lambda other: other.name == text.name)


def _dns_service(network: NetworkDefinition, update: _Update) -> NetworkDefinition:
    service = update.element(DnsService, "srv")
    if update.adds and (wrong := next(service_problems(service), None)):
        raise XmlError(wrong)
    fields = [each.field for each in plan_of(DnsService).attributes]

    def is_meant(other: DnsService) -> bool:
        return all(getattr(service, each) in (None, getattr(other, each)) for each in fields)

    return _with_record(network, update, "services", service, is_meant)


def _with_record(
    network: NetworkDefinition, update: _Update, field: str, record: AnyMapped, is_meant: Callable[[AnyMapped], bool]
) -> NetworkDefinition:
    """Return network with a DNS record added, or the only one modified or deleted that is meant."""
    dns = network.dns or NetworkDns()
    found = [at for at, each in enumerate(getattr(dns, field)) if is_meant(each)]
    if update.adds:
        if found:
            raise OperationInvalidError(f"the network '{network.name}' has such a dns record already; delete it first")
        return replace(network, dns=update.added(dns, field, record))
    if not found:
        raise OperationInvalidError(f"the network '{network.name}' has no such dns record")
    if len(found) > 1:
        raise OperationInvalidError(f"the network '{network.name}' has {len(found)} such dns records; say more of it")
    if update.deletes:
        return replace(network, dns=without_child(dns, field, found[0]))
    return replace(network, dns=with_changed_child(dns, field, found[0], record))


_SECTIONS: Mapping[NetworkUpdateSection, Callable[[NetworkDefinition, _Update], NetworkDefinition]] = {
    NetworkUpdateSection.IP_DHCP_HOST: _dhcp_host,
    NetworkUpdateSection.IP_DHCP_RANGE: _dhcp_range,
    NetworkUpdateSection.FORWARD_INTERFACE: _forward_interface,
    NetworkUpdateSection.PORTGROUP: _port_group,
    NetworkUpdateSection.DNS_HOST: _dns_host,
    NetworkUpdateSection.DNS_TXT: _dns_text,
    NetworkUpdateSection.DNS_SRV: _dns_service,
}
"""The sections that can be updated; libvirt has the same."""
