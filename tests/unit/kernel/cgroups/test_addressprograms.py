"""Tests of insula.kernel.cgroups.addressprograms: what programs answer, and that the kernel takes all of them.

What becomes of real sockets: tests/system/test_own_addresses.py.
"""

import os
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine.interfacespec import NetworkShare
from insula.kernel import bpf
from insula.kernel.cgroups.addressassembler import OwnAddresses
from insula.kernel.cgroups.addressprograms import HOOKS, address_programs, can_be_held
from tests.ebpf import Machine, packet_context

LOOPBACK = IPv4Network("127.7.9.0/24")


def is_of_an_interface(address: IPv4Address | IPv6Address) -> bool:
    """Whether a share may have it: see `NetworkShare.problems`."""
    return not list(NetworkShare(addresses=(str(address),)).problems())


RANGES = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: (min(pair), max(pair)))
OWNS = st.builds(
    OwnAddresses,
    ipv4=st.lists(st.ip_addresses(v=4).filter(is_of_an_interface), max_size=4, unique=True).map(tuple),
    ipv6=st.lists(st.ip_addresses(v=6).filter(is_of_an_interface), max_size=4, unique=True).map(tuple),
    ports=st.lists(RANGES, max_size=4).map(tuple),
    loopback=st.just(LOOPBACK),
)


def asked(name: str, own: OwnAddresses, address: str, port: int = 0) -> tuple[int, str]:
    """Return what a program that needs no helper answers, and what it makes of the address."""
    six = name.endswith("6")
    context = bytearray(72)
    place = 8 if six else 4
    packed = ip_address(address).packed
    context[place : place + len(packed)] = packed
    context[24:26] = port.to_bytes(2, "big")
    machine = Machine(context)
    answer = machine.run(address_programs(own)[name][1])
    return answer, str(ip_address(bytes(machine.context[place : place + len(packed)])))


@given(own=OWNS, other=st.ip_addresses(v=4), port=st.integers(0, 65535))
def test_a_bind_of_ipv4_is_answered_by_addresses_and_ports(own: OwnAddresses, other: IPv4Address, port: int) -> None:
    for address in (*own.ipv4, other, IPv4Address("0.0.0.0"), IPv4Address("127.0.0.53")):
        answer, bound = asked("bound4", own, str(address), port)
        meant = own.ipv4[0] if address.is_unspecified and own.ipv4 else address
        if meant in own.ipv4:
            allowed = not own.ports or any(first <= port <= last for first, last in own.ports)
            assert answer == (3 if allowed else 1 if port == 0 else 0)
            assert bound == str(meant)
        elif meant in IPv4Network("127.0.0.0/24"):
            assert (answer, bound) == (3, f"127.7.9.{meant.packed[3]}")
        else:
            assert answer == 0


@given(own=OWNS, other=st.ip_addresses(v=6))
def test_a_bind_of_ipv6_is_answered_by_addresses(own: OwnAddresses, other: IPv6Address) -> None:
    mapped = [IPv6Address(f"::ffff:{each}") for each in own.ipv4]
    allowed = {*own.ipv6, *mapped}
    for address in (*own.ipv6, *mapped, other, IPv6Address("::1")):
        if address.is_unspecified or (address.ipv4_mapped is not None and address not in allowed):
            continue
        assert (asked("bound6", own, str(address))[0] > 0) is (address in allowed)
    answer, bound = asked("bound6", own, "::")
    first = next(iter((*own.ipv6, *mapped)), None)
    assert (answer > 0, ip_address(bound)) == (True, first) if first else answer == 0


@pytest.mark.parametrize("name", ["peer4", "name4", "received4", "peer6", "name6", "received6"])
def test_its_loopback_is_told_as_everybodys(name: str) -> None:
    own = OwnAddresses(ipv4=(), ipv6=(), ports=(), loopback=LOOPBACK)
    prefix = "::ffff:" if name.endswith("6") else ""
    for address, told in (("127.7.9.53", "127.0.0.53"), ("127.7.8.53", "127.7.8.53"), ("192.0.2.1", "192.0.2.1")):
        answer, said = asked(name, own, prefix + address)
        assert (answer, ip_address(said)) == (1, ip_address(prefix + told))


def packet(source: str, destination: str, rest: bytes = b"") -> tuple[int, bytes]:
    """Return a packet's protocol by Ethernet, and its IP header with what follows."""
    first, second = ip_address(source), ip_address(destination)
    if first.version == 4:
        return 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, 20, 0, 0, 64, 6, 0) + first.packed + second.packed + rest
    return 0x86DD, struct.pack("!IHBB", 6 << 28, 0, 6, 64) + first.packed + second.packed + rest


def passes(name: str, own: OwnAddresses, source: str, destination: str) -> bool:
    protocol, shown = packet(source, destination)
    return bool(Machine(packet_context(protocol, shown), shown).run(address_programs(own)[name][1]))


def test_packets_come_and_go_by_its_own_addresses_only() -> None:
    own = OwnAddresses(
        ipv4=(IPv4Address("203.0.113.50"),), ipv6=(IPv6Address("2001:db8::50"),), ports=(), loopback=LOOPBACK
    )
    for own_one, foreign, far in (
        ("203.0.113.50", "203.0.113.2", "192.0.2.1"),
        ("2001:db8::50", "2001:db8::2", "2::1"),
    ):
        assert passes("leaving", own, own_one, far)
        assert not passes("leaving", own, foreign, far)
        assert passes("arriving", own, far, own_one)
        assert not passes("arriving", own, far, foreign)
    assert passes("arriving", own, "127.7.9.1", "127.7.9.53")
    assert not passes("leaving", own, "127.7.9.1", "203.0.113.2")
    assert not passes("leaving", own, "203.0.113.50", "127.0.0.1")
    assert not passes("leaving", own, "127.0.0.1", "192.0.2.1")


def test_no_packet_leaves_for_the_hosts_loopback_of_ipv6() -> None:
    own = OwnAddresses(ipv4=(), ipv6=(IPv6Address("2001:db8::7"),), ports=(), loopback=LOOPBACK)
    assert not passes("leaving", own, "2001:db8::7", "::1")
    assert passes("leaving", own, "2001:db8::7", "::2")


@pytest.mark.parametrize("name", ["arriving", "leaving"])
def test_what_is_no_packet_of_ip_or_is_cut_short_does_not_pass(name: str) -> None:
    own = OwnAddresses(ipv4=(IPv4Address("203.0.113.50"),), ipv6=(), ports=(), loopback=LOOPBACK)
    program = address_programs(own)[name][1]
    protocol, shown = packet("203.0.113.50", "203.0.113.50")
    assert Machine(packet_context(0x0806, shown), shown).run(program) == 0
    assert Machine(packet_context(protocol, shown[:19]), shown[:19]).run(program) == 0


@pytest.mark.requires("bpf.cgroup_addresses")
@given(own=OWNS)
def test_the_kernel_takes_every_program(own: OwnAddresses) -> None:
    for name, (kind, program) in address_programs(own).items():
        os.close(bpf.load_program(kind, program, name))


@pytest.mark.requires("bpf.cgroup_addresses")
def test_it_is_known_beforehand_whether_the_kernel_takes_them() -> None:
    assert can_be_held()


def test_each_hook_is_another() -> None:
    assert len({kind for kind, _ in HOOKS.values()}) == len(HOOKS)
