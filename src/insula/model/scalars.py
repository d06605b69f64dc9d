"""The types a piece of XML text can have: one line a type, with how to read it, write it, and name it in errors."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import PurePosixPath
from typing import Any, NewType
from unicodedata import category
from uuid import UUID

from insula.model.sizes import UNSIGNED_LONG_MAX, CpuSet, format_cpuset, parse_cpuset

ProgramPath = NewType("ProgramPath", PurePosixPath)
"""A guest's program: an absolute path, or a name without a slash, which is looked for in its PATH."""
DomainName = NewType("DomainName", str)
"""1 to 64 characters, safe as a file name and on a terminal: no `/`, nothing invisible but spaces, no leading dot."""

NetworkName = NewType("NetworkName", str)
"""As a domain's name."""

FilterName = NewType("FilterName", str)
"""As a domain's name."""

MacAddress = NewType("MacAddress", str)
"""Of one station (not multicast), lower case with colons."""

UsbId = NewType("UsbId", int)
"""A vendor's or a product's number, 16 bits, written in hexadecimal with `0x`."""

BusNumber = NewType("BusNumber", int)
"""Where a device sits on a bus; read in any base C knows, written in decimal."""

PciDomain = NewType("PciDomain", int)
"""Of a PCI device's address, 16 bits; written in hexadecimal with `0x`, as the two below, and read in any base."""
PciBus = NewType("PciBus", int)
"""The bus of a PCI device's address, 8 bits, and its slot on that bus."""
PciFunction = NewType("PciFunction", int)
"""The function of a PCI device's slot, 3 bits."""

FileMode = NewType("FileMode", int)
"""Permission bits, read and written in octal."""

Bound = NewType("Bound", int)
"""A resource limit: a number, or UNLIMITED."""

PORT = (1, 65535)
"""The lowest and highest port of TCP and UDP."""
UNLIMITED = Bound(-1)
_BOUND_MAX = 2**63 - 1

IpAddress = IPv4Address | IPv6Address

PortRanges = NewType("PortRanges", tuple[tuple[int, int], ...])
"""Ports and ranges of them with both ends, written as `22 80 8000-8099`."""

IpAddresses = NewType("IpAddresses", tuple[IpAddress, ...])
"""IP addresses, written with spaces between them."""

DOMAIN_NAME_MAX = 64
"""Characters; also what the kernel allows a host name (HOST_NAME_MAX), which a domain's name becomes by default."""


DOMAIN_NAME_BYTES_MAX = 200
"""Bytes; a file's name has 255, and those of definitions and logs have endings."""

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs"})
"""The Unicode categories of what a reader does not see: control and format characters, separators, half surrogate pairs
and what is no character yet."""


class YesNo(StrEnum):
    YES = "yes"
    NO = "no"


class OnOff(StrEnum):
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """How one type is spelled. read raises ValueError; expected completes "expected …" in an error."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    expected: str


class RangeError(ValueError):
    """A number that is written well, and is too low or too high."""


_DECIMAL = re.compile(r"[0-9]{1,20}\Z")
_SIGNED = re.compile(r"-?[0-9]{1,19}\Z")
_MAC = re.compile(r"[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}\Z")
_ANY_BASE = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]{1,4})\Z|0(?P<octal>[0-7]{1,6})\Z|(?P<decimal>[0-9]{1,5})\Z")
_OCTAL = re.compile(r"[0-7]{1,4}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{32}\Z")


def read_integer(text: str, lowest: int = 0, highest: int = UNSIGNED_LONG_MAX) -> int:
    """Return the decimal number in text: plain digits, a minus only where lowest allows it.

    Raises: RangeError if it is not from lowest to highest, else ValueError.
    """
    stripped = text.strip()
    if not (_DECIMAL if lowest >= 0 else _SIGNED).match(stripped):
        raise ValueError(f"'{text}' is not a decimal number")
    number = int(stripped)
    if not lowest <= number <= highest:
        raise RangeError(f"{number} is out of range")
    return number


def read_domain_name(text: str) -> DomainName:
    """Return text if it can name a domain (see DomainName). Raises: ValueError."""
    if not text.strip() or len(text) > DOMAIN_NAME_MAX or text.startswith(".") or "/" in text:
        raise ValueError(f"'{text}' cannot name a domain")
    if odd := unprintable(text):
        raise ValueError(f"a text with {odd} cannot name a domain")
    if len(text.encode()) > DOMAIN_NAME_BYTES_MAX:
        raise ValueError(f"'{text}' cannot name a domain: it has more than {DOMAIN_NAME_BYTES_MAX} bytes")
    return DomainName(text)


def unprintable(text: str, allowed: str = "") -> str | None:
    """Return the first character in text that nobody would see, as U+NNNN; a space is no such, nor what is allowed."""
    for each in text:
        if each != " " and each not in allowed and category(each) in _UNSEEN:
            return f"U+{ord(each):04X}"
    return None


def read_uuid(text: str) -> UUID:
    """Return the UUID, written with or without its hyphens, as libvirt accepts both. Raises: ValueError."""
    digits = text.strip().replace("-", "")
    if not _UUID.match(digits):
        raise ValueError(f"'{text}' is not a UUID")
    return UUID(hex=digits)


def read_mac_address(text: str) -> MacAddress:
    """Return the address, each number with both its digits. Raises: ValueError if malformed or multicast."""
    lower = text.strip().lower()
    numbers = lower.split(":")
    if not _MAC.match(lower) or int(numbers[0], 16) & 1:
        raise ValueError(f"'{text}' is not the MAC address of one station")
    return MacAddress(":".join(each.zfill(2) for each in numbers))


def read_path(text: str) -> PurePosixPath:
    """Return the absolute path, without doubled or trailing slashes. Raises: ValueError if it is relative."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"'{text}' is not an absolute path")
    return PurePosixPath("/" + text.lstrip("/"))


def read_program(text: str) -> ProgramPath:
    """Return the path of a program, or its name. Raises: ValueError if it is a relative path."""
    if text and "/" not in text and "\0" not in text and text not in (".", ".."):
        return ProgramPath(PurePosixPath(text))
    return ProgramPath(read_path(text))


def read_ip_address(text: str) -> IpAddress:
    """Raises: ValueError if malformed, or with a scope (`%eth0`), which libvirt has no place for."""
    if "%" in text:
        raise ValueError(f"'{text}' has a scope")
    return ip_address(text.strip())


def read_ip_addresses(text: str) -> IpAddresses:
    """Return the addresses in text, which stand between spaces or commas. Raises: ValueError."""
    return IpAddresses(tuple(map(read_ip_address, text.replace(",", " ").split())))


def read_port_ranges(text: str) -> PortRanges:
    """Return the ports and ranges in text, which stand between spaces or commas. Raises: ValueError."""
    ranges = []
    for part in text.replace(",", " ").split():
        first, _, last = part.partition("-")
        ranges.append((read_integer(first), read_integer(last or first)))
    return PortRanges(tuple(ranges))


def write_port_ranges(ranges: PortRanges) -> str:
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def read_any_base(text: str) -> int:
    """Return a number of at most 16 bits as C's strtol does with base 0: `0x1d`, `035`, `29`. Raises: ValueError."""
    match = _ANY_BASE.match(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a number")
    number = int(match[str(match.lastgroup)], {"hex": 16, "octal": 8, "decimal": 10}[str(match.lastgroup)])
    if number > 0xFFFF:
        raise ValueError(f"{text} is more than 16 bits")
    return number


def read_bound(text: str) -> Bound:
    """Return the limit that text says, a number or the word. Raises: ValueError."""
    return UNLIMITED if text.strip() == "unlimited" else Bound(read_integer(text, 0, _BOUND_MAX))


def write_bound(bound: Bound) -> str:
    return "unlimited" if bound == UNLIMITED else str(bound)


def read_file_mode(text: str) -> FileMode:
    """Return the permission bits that text says in octal. Raises: ValueError."""
    if not _OCTAL.match(text.strip()):
        raise ValueError(f"'{text}' is not an octal mode")
    return FileMode(int(text, 8))


_NAME = Scalar(
    read=read_domain_name,
    write=str,
    expected=f"1 to {DOMAIN_NAME_MAX} characters, at most {DOMAIN_NAME_BYTES_MAX} bytes, without '/', control "
    "characters and others that are not seen, not starting with a dot",
)


def _pci_number(highest: int, digits: int) -> Scalar:
    """Return a number of a PCI address, written with so many hexadecimal digits."""

    def read(text: str) -> int:
        number = read_any_base(text)
        if number > highest:
            raise ValueError(f"{text} is more than {highest:#x}")
        return number

    return Scalar(
        read=read, write=f"0x{{:0{digits}x}}".format, expected=f"a hexadecimal number from 0x0 to {highest:#x}"
    )


SCALARS: dict[object, Scalar] = {
    str: Scalar(read=str, write=str, expected="text"),
    int: Scalar(read=read_integer, write=str, expected="a whole number"),
    UUID: Scalar(read=read_uuid, write=str, expected="a UUID"),
    PurePosixPath: Scalar(read=read_path, write=str, expected="an absolute path"),
    ProgramPath: Scalar(
        read=read_program, write=str, expected="an absolute path, or a name that is looked for in the guest's PATH"
    ),
    CpuSet: Scalar(read=parse_cpuset, write=format_cpuset, expected="a list of numbers such as 0-3,^2,8"),
    MacAddress: Scalar(read=read_mac_address, write=str, expected="a unicast MAC address such as 52:54:00:12:34:56"),
    UsbId: Scalar(read=read_any_base, write="0x{:04x}".format, expected="a hexadecimal number such as 0x1d6b"),
    BusNumber: Scalar(read=read_any_base, write=str, expected="a number of at most 16 bits"),
    Bound: Scalar(read=read_bound, write=write_bound, expected="a whole number or 'unlimited'"),
    FileMode: Scalar(read=read_file_mode, write="{:04o}".format, expected="permission bits in octal such as 0644"),
    frozenset({IPv4Address, IPv6Address}): Scalar(read=read_ip_address, write=str, expected="an IP address"),
    IpAddresses: Scalar(
        read=read_ip_addresses,
        write=lambda addresses: " ".join(map(str, addresses)),
        expected="IP addresses with spaces between them",
    ),
    PortRanges: Scalar(
        read=read_port_ranges, write=write_port_ranges, expected="ports and ranges such as '22 80 8000-8099'"
    ),
    IPv4Address: Scalar(read=IPv4Address, write=str, expected="an IPv4 address"),
    DomainName: _NAME,
    NetworkName: _NAME,
    FilterName: _NAME,
    PciDomain: _pci_number(0xFFFF, 4),
    PciBus: _pci_number(0xFF, 2),
    PciFunction: _pci_number(7, 1),
}
"""Every scalar type but enums and sizes; a union stands as the set of its members."""


def scalar_of_enum(kind: type[Enum]) -> Scalar:
    """Return how an enum with text values is spelled: the value itself."""
    members = {str(each.value): each for each in kind}

    def read(text: str) -> Enum:
        member = members.get(text)
        if member is None:
            raise ValueError(f"'{text}' is not one of {', '.join(members)}")
        return member

    listed = ", ".join(f"'{word}'" for word in members)
    return Scalar(read=read, write=lambda member: str(member.value), expected=f"one of {listed}")


def scalar_of_range(lowest: int, highest: int) -> Scalar:
    """Return a decimal number between lowest and highest, both included."""
    return Scalar(
        read=lambda text: read_integer(text, lowest, highest),
        write=str,
        expected=f"a whole number from {lowest} to {highest}",
    )
