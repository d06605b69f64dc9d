"""The subnets of a virtual network: `<ip>`, and what is given out in them by DHCP."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import PurePosixPath
from typing import Annotated

from insula.model.interfaces import AddressFamily, natural_prefix
from insula.model.scalars import IpAddress, MacAddress, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped


class TimeUnit(StrEnum):
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"


_SECONDS = {TimeUnit.SECONDS: 1, TimeUnit.MINUTES: 60, TimeUnit.HOURS: 3600}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTime(Mapped):
    """`<lease>`: how long an address is given out for; expiry 0: for ever. unit None: minutes."""

    expiry: Annotated[int, Attribute("expiry", within=(0, 2**32 - 1))]
    unit: Annotated[TimeUnit | None, Attribute("unit")] = None

    @property
    def seconds(self) -> int | None:
        """None: for ever."""
        return self.expiry * _SECONDS[self.unit or TimeUnit.MINUTES] or None


@dataclass(frozen=True, kw_only=True, slots=True)
class DhcpRange(Mapped):
    """`<range>`: addresses that are given out, both ends included."""

    start: Annotated[IpAddress, Attribute("start")]
    end: Annotated[IpAddress, Attribute("end")]
    lease: Annotated[LeaseTime | None, Element("lease")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DhcpHost(Mapped):
    """`<host>`: the address of one guest, known by its MAC address, its client id (DHCPv6: DUID) or its name."""

    mac: Annotated[MacAddress | None, Attribute("mac")] = None
    id: Annotated[str | None, Attribute("id")] = None
    name: Annotated[str | None, Attribute("name")] = None
    ip: Annotated[IpAddress | None, Attribute("ip")] = None
    lease: Annotated[LeaseTime | None, Element("lease")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BootFile(Mapped):
    """`<bootp>`: what a guest that boots from the network loads, and from where; server None: from the network."""

    file: Annotated[str, Attribute("file")]
    server: Annotated[str | None, Attribute("server")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkDhcp(Mapped):
    """`<dhcp>`."""

    ranges: Annotated[tuple[DhcpRange, ...], Element("range")] = ()
    hosts: Annotated[tuple[DhcpHost, ...], Element("host")] = ()
    boot_file: Annotated[BootFile | None, Element("bootp")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkIp(Mapped):
    """`<ip>`: an address of the network's bridge, and by it a subnet. local_ptr: questions for the names of its
    addresses are not asked outside; tftp_root: the directory that its TFTP server shows."""

    family: Annotated[AddressFamily | None, Attribute("family")] = None
    address: Annotated[IpAddress | None, Attribute("address")] = None
    netmask: Annotated[IpAddress | None, Attribute("netmask")] = None
    prefix: Annotated[int | None, Attribute("prefix", within=(0, 128))] = None
    local_ptr: Annotated[YesNo | None, Attribute("localPtr")] = None
    tftp_root: Annotated[PurePosixPath | None, Element("tftp", attribute="root")] = None
    dhcp: Annotated[NetworkDhcp | None, Element("dhcp")] = None

    @property
    def interface(self) -> IPv4Interface | IPv6Interface | None:
        """The address with its subnet; None without an address. Raises: ValueError if the netmask is none."""
        if self.address is None:
            return None
        if self.netmask is not None:
            return ip_interface(f"{self.address}/{self.netmask}")
        return ip_interface((self.address, natural_prefix(self.address) if self.prefix is None else self.prefix))

    @property
    def effective_family(self) -> AddressFamily:
        """IPv4 unless something says else."""
        if self.address is not None:
            return AddressFamily.IPV4 if self.address.version == 4 else AddressFamily.IPV6
        return self.family or AddressFamily.IPV4
