"""What is wrong with a network's names and boot files although its XML is right: checks as those of `networkchecks`."""

from collections.abc import Iterator
from ipaddress import ip_address

from insula.model.dnsnames import is_dns_name, is_protocol_name, is_service_name
from insula.model.network import NetworkDefinition
from insula.model.networknames import DnsHost, DnsService, DnsText
from insula.model.scalars import YesNo, unprintable

TEXT_MAX = 255
"""Bytes of one text of a TXT record. Source: RFC 1035, 3.3."""
LINE_MAX = 1000
"""Bytes of what becomes a line of dnsmasq's configuration."""


def check_dns_domain(network: NetworkDefinition) -> Iterator[str]:
    domain = network.domain
    if domain is None:
        return
    if not is_dns_name(domain.name):
        yield f"'{domain.name}' cannot be the name of a DNS domain"
    if domain.register is YesNo.YES and domain.local_only is not YesNo.YES:
        yield (
            f"the domain '{domain.name}' is to be registered with the host, whose questions would come back to it; say "
            "localOnly='yes' too"
        )


def check_dns(network: NetworkDefinition) -> Iterator[str]:
    dns = network.dns
    if dns is None:
        return
    for forwarder in dns.forwarders:
        if forwarder.domain is None and forwarder.address is None:
            yield "a forwarder has neither an addr nor a domain"
        elif forwarder.port is not None and forwarder.address is None:
            yield f"the forwarder of the domain '{forwarder.domain}' has a port and no addr, of which that would be"
        elif forwarder.domain is not None and not is_dns_name(forwarder.domain):
            yield f"a forwarder has the domain '{forwarder.domain}', which is no name"
    for text in dns.texts:
        yield from _text_problems(text)
    for service in dns.services:
        yield from service_problems(service)
    for host in dns.hosts:
        yield from _dns_host_problems(host)


def _text_problems(text: DnsText) -> Iterator[str]:
    if not is_dns_name(text.name):
        yield f"'{text.name}' cannot be the name of a txt record"
    if text.value is None:
        yield f"the txt record '{text.name}' has no value"
    elif odd := unprintable(text.value):
        yield f"the value of the txt record '{text.name}' holds {odd}, which nobody sees"
    elif len(text.value.encode()) > LINE_MAX or any(len(each.encode()) > TEXT_MAX for each in text.value.split(",")):
        yield f"the value of the txt record '{text.name}' is too long: {TEXT_MAX} bytes a text, {LINE_MAX} in all"


def service_problems(service: DnsService) -> Iterator[str]:
    """Yield what is wrong with an SRV record."""
    named = f"the srv record '{service.service}'"
    if service.service is None or not is_service_name(service.service):
        yield f"{named} has no service that could be a name"
    if service.protocol is None or not is_protocol_name(service.protocol):
        yield f"{named} has no protocol such as tcp or udp"
    if service.domain is not None and not is_dns_name(service.domain):
        yield f"{named} has the domain '{service.domain}', which is no name"
    if service.target is not None and service.target != "." and not is_dns_name(service.target):
        yield f"{named} has the target '{service.target}', which is no name"
    if service.target is None:
        given = {"port": service.port, "priority": service.priority, "weight": service.weight}
        for name in (name for name, value in given.items() if value is not None):
            yield f"{named} has a {name} and no target, of which that would be"


def _dns_host_problems(host: DnsHost) -> Iterator[str]:
    if host.ip is None:
        yield f"a dns host has no ip; its names are {', '.join(host.hostnames) or 'missing too'}"
    if not host.hostnames:
        yield f"the dns host {host.ip} has no <hostname>"
    for name in host.hostnames:
        if not is_dns_name(name):
            yield f"the dns host {host.ip} has the name '{name}', which is none"


def check_dnsmasq_options(network: NetworkDefinition) -> Iterator[str]:
    for each in network.dnsmasq.options if network.dnsmasq is not None else ():
        if not each.value or len(each.value.encode()) > LINE_MAX or unprintable(each.value):
            yield f"the option {each.value[:80]!r} for dnsmasq is not one line of 1 to {LINE_MAX} bytes"


def check_boot_files(network: NetworkDefinition) -> Iterator[str]:
    for ip in network.ips:
        boot = ip.dhcp.boot_file if ip.dhcp is not None else None
        if boot is None:
            continue
        if ip.effective_family == "ipv6":
            yield "bootp is for IPv4, and stands in an <ip> of IPv6"
        if not boot.file or unprintable(boot.file) or "," in boot.file or len(boot.file.encode()) > LINE_MAX:
            yield f"{boot.file[:80]!r} cannot be the file of bootp"
        if boot.server is not None and not (is_dns_name(boot.server) or _is_address(boot.server)):
            yield f"'{boot.server}' cannot be the server of bootp"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def check_tftp_roots(network: NetworkDefinition) -> Iterator[str]:
    given = [each for each in network.ips if each.tftp_root is not None]
    if len(given) > 1:
        yield "the network has several tftp roots; keep one"
    for ip in given:
        if ip.effective_family == "ipv6":
            yield "tftp is for IPv4, and stands in an <ip> of IPv6"
        root = str(ip.tftp_root)
        if unprintable(root) or "," in root or ".." in root.split("/") or len(root.encode()) > LINE_MAX:
            yield f"{root[:80]!r} cannot be the root of tftp"
