"""What programs are made of that hold sockets to addresses (`addressprograms`): one vocabulary for all of them.

Sources: linux/bpf.h (struct bpf_sock_addr, bpf_sock, bpf_sock_tuple), bpf-helpers(7).
"""

import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from insula.kernel.bpfassembler import BpfAssembler, Comparison, JumpTarget, Register

CONTEXT, ADDRESS, SPARE, SOURCE = Register.R6, Register.R7, Register.R8, Register.R9
"""What these registers hold: calls leave them alone."""
STACK = Register.STACK
TUPLE, TUPLE_PORTS = -48, -40
"""Where on the stack a tuple is laid: the other's address, ours, the other's port, ours."""
_SOCKET_ADDRESS = -32
TCP, UDP = 6, 17
_CURRENT_NETWORK = -1
_ALLOWED, _ALLOWED_WITH_LOW_PORT = 1, 3
"""Answers to a bind: with the second bit, CAP_NET_BIND_SERVICE is not asked for, since Linux 5.12."""
_SOCKET_IP4 = 24
_DEEPEST_GROUP = 16
"""Levels of groups that are looked through: scopes of systemd are four or five below the root."""

LOOPBACK = IPv4Network("127.0.0.0/24")
"""What is translated: the loopback addresses that programs know."""


class AddressField(IntEnum):
    """Where struct bpf_sock_addr has what. MESSAGE_…: the address a datagram comes from."""

    IP4 = 4
    IP6 = 8
    PORT = 24
    PROTOCOL = 36
    MESSAGE_IP4 = 40
    MESSAGE_IP6 = 44


class Helper(IntEnum):
    """Functions of the kernel's (BPF_FUNC_…)."""

    LOAD_BYTES = 26
    BIND = 64
    LOOKUP_TCP = 84
    LOOKUP_UDP = 85
    RELEASE = 86
    ANCESTOR_OF_SOCKET = 129


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAddresses:
    """What a group's sockets may use.

    ipv4, ipv6: addresses of the host; ports: ranges with both ends, none for all; loopback: a /24 in 127.0.0.0/8
    that is this group's, not 127.0.0.0/24; group: its number, the low 32 bits of its directory's inode, which no other
    group has.
    """

    ipv4: tuple[IPv4Address, ...]
    ipv6: tuple[IPv6Address, ...]
    ports: tuple[tuple[int, int], ...]
    loopback: IPv4Network
    group: int = 0


def native(octets: bytes) -> int:
    """Return what a load of these bytes of memory gives."""
    return int.from_bytes(octets, sys.byteorder)


def word(address: IPv4Address) -> int:
    """Return an IPv4 address as a load of it gives."""
    return native(address.packed)


def words(address: IPv6Address) -> list[int]:
    """Return an IPv6 address as four loads of it give."""
    return [native(address.packed[place : place + 4]) for place in range(0, 16, 4)]


_LAST_OCTET = native(b"\x00\x00\x00\xff")
_WITHOUT_LAST = native(b"\xff\xff\xff\x00")
_FIRST_OCTET = native(b"\xff\x00\x00\x00")
_LOOPBACK_ANY = native(b"\x7f\x00\x00\x00")
_LOOPBACK_FIRST = native(b"\x7f\x00\x00\x01")
MAPPED = native(b"\x00\x00\xff\xff")
"""The third word of an IPv6 address that is one of IPv4."""


class AddressAssembler(BpfAssembler):
    """The parts that the programs have in common."""

    def __init__(self, own: OwnAddresses) -> None:
        super().__init__()
        self.own = own
        self.copy(CONTEXT, Register.R1)

    def if_one_of(self, register: Register, addresses: Iterable[IPv4Address], target: JumpTarget) -> None:
        for each in addresses:
            self.jump_if(register, Comparison.EQUAL, word(each), target)

    def if_one_of_six(self, base: Register, offset: int, target: JumpTarget) -> None:
        """Go to target if the 16 bytes at offset from base are an address of the group's own. Spoils R4."""
        for each in self.own.ipv6:
            other = JumpTarget()
            for place, part in enumerate(words(each)):
                self.load_word(Register.R4, base, offset + 4 * place)
                self.jump_if(Register.R4, Comparison.UNEQUAL, part, other)
            self.jump(target)
            self.here(other)

    def unless_within(self, register: Register, network: IPv4Network, target: JumpTarget) -> None:
        """Go to target unless register is an address of a /24. Spoils R4."""
        self.copy(Register.R4, register)
        self.mask(Register.R4, _WITHOUT_LAST)
        self.jump_if(Register.R4, Comparison.UNEQUAL, word(network.network_address), target)

    def if_loopback(self, register: Register, target: JumpTarget) -> None:
        """Go to target for any address of 127.0.0.0/8. Spoils R4."""
        self.copy(Register.R4, register)
        self.mask(Register.R4, _FIRST_OCTET)
        self.jump_if(Register.R4, Comparison.EQUAL, _LOOPBACK_ANY, target)

    def translate(self, register: Register, network: IPv4Network) -> None:
        """register = the address of a /24 that has the same last octet."""
        self.mask(register, _LAST_OCTET)
        self.set_bits(register, word(network.network_address))

    def unless_six_begins(self, beginning: Sequence[int], target: JumpTarget) -> None:
        """Go to target unless the context's IPv6 address begins with these words. Spoils R4."""
        for place, part in enumerate(beginning):
            self.load_word(Register.R4, CONTEXT, AddressField.IP6 + 4 * place)
            self.jump_if(Register.R4, Comparison.UNEQUAL, part, target)

    def store_words(self, offset: int, stored: Sequence[int]) -> None:
        """Put words at offset in the context. Spoils R4."""
        for place, part in enumerate(stored):
            self.move(Register.R4, part)
            self.store_word(CONTEXT, offset + 4 * place, Register.R4)

    def bind(self, family: int, address: Sequence[int | Register]) -> None:
        """Have the socket's packets come from an address; one that is bound already stays as it is."""
        size = 16 if family == socket.AF_INET else 28
        parts: list[int | Register] = [native(struct.pack("=HH", family, 0))]
        parts += address if family == socket.AF_INET else [0, *address]
        for place in range(size // 4):
            part = parts[place] if place < len(parts) else 0
            if isinstance(part, Register):
                self.store_word(STACK, _SOCKET_ADDRESS + 4 * place, part)
            else:
                self.store_number(STACK, _SOCKET_ADDRESS + 4 * place, part)
        self.copy(Register.R1, CONTEXT)
        self.copy(Register.R2, STACK)
        self.add(Register.R2, _SOCKET_ADDRESS)
        self.move(Register.R3, size)
        self.call(Helper.BIND)

    def _find(self, helper: int, nobody: JumpTarget) -> None:
        """R0 = the socket that the tuple finds, which is to be released."""
        self.copy(Register.R1, CONTEXT)
        self.copy(Register.R2, STACK)
        self.add(Register.R2, TUPLE)
        self.move(Register.R3, 12)
        self.move(Register.R4, _CURRENT_NETWORK)
        self.move(Register.R5, 0)
        self.call(helper)
        self.jump_if_null(Register.R0, nobody)

    def if_bound_there(self, helper: int, target: JumpTarget, *, nobody: JumpTarget) -> None:
        """Go to target if the socket that the tuple finds is bound to the address in R7 itself, not to the wildcard."""
        self._find(helper, nobody)
        self.load_word(SPARE, Register.R0, _SOCKET_IP4)
        self.copy(Register.R1, Register.R0)
        self.call(Helper.RELEASE)
        self.jump_if_same(SPARE, ADDRESS, target)

    def if_of_group(self, helper: int, target: JumpTarget, *, nobody: JumpTarget) -> None:
        """Go to target if the socket that the tuple finds is the group's, or of one below it."""
        found, released = JumpTarget(), JumpTarget()
        self._find(helper, nobody)
        self.copy(SPARE, Register.R0)
        # How deep the group is below the host's root cannot be seen where the daemon has a cgroup namespace.
        for level in range(1, _DEEPEST_GROUP + 1):
            self.copy(Register.R1, SPARE)
            self.move(Register.R2, level)
            self.call(Helper.ANCESTOR_OF_SOCKET)
            self.jump_if(Register.R0, Comparison.EQUAL, self.own.group, found)
        self.copy(Register.R1, SPARE)
        self.call(Helper.RELEASE)
        self.jump(released)
        self.here(found)
        self.copy(Register.R1, SPARE)
        self.call(Helper.RELEASE)
        self.jump(target)
        self.here(released)

    def destination(self, refuse: JumpTarget) -> None:
        """Turn the destination in R7 into the one that is meant, and R9 into the address it is reached from."""
        known, outside, elsewhere, listening, datagrams, done = (JumpTarget() for _ in range(6))
        first = self.own.ipv4[0] if self.own.ipv4 else None
        self.jump_if(ADDRESS, Comparison.UNEQUAL, 0, known)
        self.move(ADDRESS, _LOOPBACK_FIRST)  # the wildcard as a destination is the host itself: ip(7)
        self.here(known)
        self.unless_within(ADDRESS, LOOPBACK, outside)
        self.translate(ADDRESS, self.own.loopback)
        self.store_number(STACK, TUPLE, 0)
        self.store_word(STACK, TUPLE + 4, ADDRESS)
        self.store_number(STACK, TUPLE_PORTS, 0)
        self.load_word(Register.R4, CONTEXT, AddressField.PORT)
        self.store_half(STACK, TUPLE_PORTS + 2, Register.R4)
        self.load_word(Register.R4, CONTEXT, AddressField.PROTOCOL)
        self.jump_if(Register.R4, Comparison.EQUAL, UDP, datagrams)
        self.if_bound_there(Helper.LOOKUP_TCP, listening, nobody=elsewhere)
        self.jump(elsewhere)
        self.here(datagrams)
        self.if_bound_there(Helper.LOOKUP_UDP, listening, nobody=elsewhere)
        self.here(elsewhere)
        if first is None:
            self.jump(refuse)
        else:
            self.move(ADDRESS, word(first))
            self.move(SOURCE, word(first))
            self.jump(done)
        self.here(listening)
        self.move(SOURCE, word(self.own.loopback[1]))
        self.jump(done)
        self.here(outside)
        self.if_loopback(ADDRESS, refuse)
        if first is None:
            self.jump(refuse)
        else:
            self.move(SOURCE, word(first))
        self.here(done)

    def bind_four(self, offset: int, refuse: JumpTarget) -> None:
        """Answer a bind to an IPv4 address that stands at offset in the context."""
        ports = JumpTarget()
        self.load_word(ADDRESS, CONTEXT, offset)
        if self.own.ipv4:
            known = JumpTarget()
            self.jump_if(ADDRESS, Comparison.UNEQUAL, 0, known)
            self.move(ADDRESS, word(self.own.ipv4[0]))
            self.store_word(CONTEXT, offset, ADDRESS)
            self.jump(ports)
            self.here(known)
        self.if_one_of(ADDRESS, self.own.ipv4, ports)
        self.unless_within(ADDRESS, LOOPBACK, refuse)
        self.translate(ADDRESS, self.own.loopback)
        self.store_word(CONTEXT, offset, ADDRESS)
        self.leave(_ALLOWED_WITH_LOW_PORT)
        self.here(ports)
        self.allow_ports(refuse)

    def allow_ports(self, refuse: JumpTarget) -> None:
        """Answer a bind whose address is the group's: by its port, which the kernel chooses if it is 0."""
        if not self.own.ports:
            self.leave(_ALLOWED_WITH_LOW_PORT)
            return
        allowed, chosen = JumpTarget(), JumpTarget()
        self.load_word(Register.R4, CONTEXT, AddressField.PORT)
        self.from_network_order(Register.R4)
        self.jump_if(Register.R4, Comparison.EQUAL, 0, chosen)
        for first, last in self.own.ports:
            other = JumpTarget()
            self.jump_if(Register.R4, Comparison.BELOW, first, other)
            self.jump_if(Register.R4, Comparison.ABOVE, last, other)
            self.jump(allowed)
            self.here(other)
        self.jump(refuse)
        self.here(allowed)
        self.leave(_ALLOWED_WITH_LOW_PORT)
        self.here(chosen)
        self.leave(_ALLOWED)

    def finished(self, refuse: JumpTarget) -> bytes:
        """Return the program, which ends with a refusal."""
        self.here(refuse)
        self.leave(0)
        return self.program()
