"""Tests of insula.kernel.cgroups.addressassembler: addresses as memory has them, and the words of the programs."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from insula.kernel.bpfassembler import JumpTarget, Register
from insula.kernel.cgroups.addressassembler import (
    LOOPBACK,
    AddressAssembler,
    OwnAddresses,
    native,
    word,
    words,
)
from tests.ebpf import Machine

OWN = OwnAddresses(
    ipv4=(IPv4Address("203.0.113.50"),),
    ipv6=(IPv6Address("2001:db8::50"),),
    ports=(),
    loopback=IPv4Network("127.7.9.0/24"),
)


def test_addresses_are_as_a_load_gives_them() -> None:
    assert word(IPv4Address("127.0.0.1")) == native(b"\x7f\x00\x00\x01")
    assert words(IPv6Address("::ffff:1.2.3.4")) == [0, 0, native(b"\x00\x00\xff\xff"), native(b"\x01\x02\x03\x04")]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", "127.7.9.1"), ("127.0.0.53", "127.7.9.53"), ("127.0.1.1", "127.0.1.1"), ("10.0.0.1", "10.0.0.1")],
)
def test_loopback_keeps_its_last_octet(address: str, expected: str) -> None:
    program, other = AddressAssembler(OWN), JumpTarget()
    program.load_word(Register.R7, Register.R6, 0)
    program.unless_within(Register.R7, LOOPBACK, other)
    program.translate(Register.R7, OWN.loopback)
    program.here(other)
    program.store_word(Register.R6, 0, Register.R7)
    program.leave(1)
    machine = Machine(bytearray(IPv4Address(address).packed))
    assert machine.run(program.program()) == 1
    assert str(IPv4Address(bytes(machine.context))) == expected


@pytest.mark.parametrize(("port", "answer"), [(0, 1), (79, 0), (80, 3), (81, 3), (82, 0), (65535, 3)])
def test_ports_are_ranges_with_both_ends_and_0_is_the_kernels_choice(port: int, answer: int) -> None:
    own = OwnAddresses(ipv4=OWN.ipv4, ipv6=(), ports=((80, 81), (65535, 65535)), loopback=OWN.loopback)
    program, refuse = AddressAssembler(own), JumpTarget()
    program.allow_ports(refuse)
    context = bytearray(72)
    context[24:26] = port.to_bytes(2, "big")
    assert Machine(context).run(program.finished(refuse)) == answer
