"""The names of a virtual network: `<domain>` and `<dns>`."""

from dataclasses import dataclass
from typing import Annotated

from insula.model.scalars import PORT, IpAddress, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped

_SHORT = (0, 65535)


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsDomain(Mapped):
    """`<domain>`: what names of guests end in. local_only: questions about it are not asked outside; register: the
    host resolves it by the network's own server."""

    name: Annotated[str, Attribute("name")]
    local_only: Annotated[YesNo | None, Attribute("localOnly")] = None
    register: Annotated[YesNo | None, Attribute("register")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsForwarder(Mapped):
    """`<forwarder>`: who answers questions, about this domain or any. address None: as the host does; port
    None: that of DNS."""

    domain: Annotated[str | None, Attribute("domain")] = None
    address: Annotated[IpAddress | None, Attribute("addr")] = None
    port: Annotated[int | None, Attribute("port", within=PORT)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsText(Mapped):
    """`<txt>`: a TXT record; value: texts with commas between."""

    name: Annotated[str, Attribute("name")]
    value: Annotated[str | None, Attribute("value")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsService(Mapped):
    """`<srv>`: an SRV record. domain None: the network's; target `.`: there is no such service. Source: RFC 2782."""

    service: Annotated[str | None, Attribute("service")] = None
    protocol: Annotated[str | None, Attribute("protocol")] = None
    domain: Annotated[str | None, Attribute("domain")] = None
    target: Annotated[str | None, Attribute("target")] = None
    port: Annotated[int | None, Attribute("port", within=PORT)] = None
    priority: Annotated[int | None, Attribute("priority", within=_SHORT)] = None
    weight: Annotated[int | None, Attribute("weight", within=_SHORT)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsHost(Mapped):
    """`<host>`: the names of an address."""

    ip: Annotated[IpAddress | None, Attribute("ip")] = None
    hostnames: Annotated[tuple[str, ...], Element("hostname")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkDns(Mapped):
    """`<dns>`. enable no: there is no server; forward_plain_names no: names without a dot are not asked outside."""

    enable: Annotated[YesNo | None, Attribute("enable")] = None
    forward_plain_names: Annotated[YesNo | None, Attribute("forwardPlainNames")] = None
    forwarders: Annotated[tuple[DnsForwarder, ...], Element("forwarder")] = ()
    texts: Annotated[tuple[DnsText, ...], Element("txt")] = ()
    services: Annotated[tuple[DnsService, ...], Element("srv")] = ()
    hosts: Annotated[tuple[DnsHost, ...], Element("host")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsmasqOption(Mapped):
    """`<dnsmasq:option>`: a line of dnsmasq's configuration."""

    value: Annotated[str, Attribute("value")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsmasqOptions(Mapped):
    """`<dnsmasq:options>`: lines of dnsmasq's configuration that libvirt would pass on unread. They are kept; what may
    come of them is for the mechanism to say, since such a line can name programs to be run."""

    options: Annotated[tuple[DnsmasqOption, ...], Element("dnsmasq:option")] = ()
