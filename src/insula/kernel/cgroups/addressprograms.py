"""BPF programs that hold the sockets of a control group to addresses and ports of the group's own.

    bind       an address of its own, by its ports; the wildcard becomes its first one
    connect    from its first address, whatever the routes say
    loopback   127.0.0.x becomes the group's own 127.A.B.x and back again, so that groups do not meet there
    packets    come and go by its addresses only, however a socket got round all that

Who connects to 127.0.0.x, and has nobody listening there, reaches the group's first address: what is bound to the
wildcard is bound to that. Sources: linux/bpf.h, and `__cgroup_bpf_run_filter_skb` in Linux' kernel/bpf/cgroup.c, which
shows packets from their IP header on.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address

from insula.kernel import bpf
from insula.kernel.bpf import ProgramKind
from insula.kernel.bpfassembler import Comparison, JumpTarget, Register
from insula.kernel.cgroups.addressassembler import (
    ADDRESS,
    CONTEXT,
    LOOPBACK,
    MAPPED,
    SOURCE,
    SPARE,
    STACK,
    TCP,
    TUPLE,
    TUPLE_PORTS,
    UDP,
    AddressAssembler,
    AddressField,
    Helper,
    OwnAddresses,
    native,
    word,
    words,
)

_STREAM, _DATAGRAM = 1, 2
_SOCKET_TYPE, _SOCKET_PROTOCOL = 8, 12
"""Places in struct bpf_sock."""
_PACKET_PROTOCOL, _DATA, _DATA_END = 16, 76, 80
"""Places in struct __sk_buff."""
_ETHERNET_IPV4, _ETHERNET_IPV6 = 0x0800, 0x86DD
_SAVED = -56


def _made(own: OwnAddresses) -> bytes:
    """Sockets of TCP and UDP only: others have no addresses that could be held, or make packets of their own."""
    program, refuse, datagram = AddressAssembler(own), JumpTarget(), JumpTarget()
    program.load_word(Register.R2, CONTEXT, _SOCKET_TYPE)
    program.load_word(Register.R3, CONTEXT, _SOCKET_PROTOCOL)
    program.jump_if(Register.R2, Comparison.EQUAL, _DATAGRAM, datagram)
    program.jump_if(Register.R2, Comparison.UNEQUAL, _STREAM, refuse)
    program.jump_if(Register.R3, Comparison.UNEQUAL, TCP, refuse)
    program.leave(1)
    program.here(datagram)
    program.jump_if(Register.R3, Comparison.UNEQUAL, UDP, refuse)
    program.leave(1)
    return program.finished(refuse)


def _bound(own: OwnAddresses) -> bytes:
    program, refuse = AddressAssembler(own), JumpTarget()
    program.bind_four(AddressField.IP4, refuse)
    return program.finished(refuse)


def _bound_six(own: OwnAddresses) -> bytes:
    """The wildcard becomes the first IPv6 address, or where there is none the first of IPv4, for sockets of both."""
    program, refuse, known, mapped, ports = (
        AddressAssembler(own),
        JumpTarget(),
        JumpTarget(),
        JumpTarget(),
        JumpTarget(),
    )
    wildcard = words(own.ipv6[0]) if own.ipv6 else [0, 0, MAPPED, word(own.ipv4[0])] if own.ipv4 else None
    program.unless_six_begins((0, 0, 0, 0), known)
    if wildcard is None:
        program.jump(refuse)
    else:
        program.store_words(AddressField.IP6, wildcard)
        program.jump(ports)
    program.here(known)
    program.unless_six_begins((0, 0, MAPPED), mapped)
    program.bind_four(AddressField.IP6 + 12, refuse)
    program.here(mapped)
    program.if_one_of_six(CONTEXT, AddressField.IP6, ports)
    program.jump(refuse)
    program.here(ports)
    program.allow_ports(refuse)
    return program.finished(refuse)


def _connected(own: OwnAddresses) -> bytes:
    program, refuse = AddressAssembler(own), JumpTarget()
    program.load_word(ADDRESS, CONTEXT, AddressField.IP4)
    program.destination(refuse)
    program.store_word(CONTEXT, AddressField.IP4, ADDRESS)
    program.bind(socket.AF_INET, [SOURCE])
    program.leave(1)
    return program.finished(refuse)


def _connected_six(own: OwnAddresses) -> bytes:
    program, refuse, six = AddressAssembler(own), JumpTarget(), JumpTarget()
    program.unless_six_begins((0, 0, MAPPED), six)
    program.load_word(ADDRESS, CONTEXT, AddressField.IP6 + 12)
    program.destination(refuse)
    program.store_word(CONTEXT, AddressField.IP6 + 12, ADDRESS)
    program.bind(socket.AF_INET6, [0, 0, MAPPED, SOURCE])
    program.leave(1)
    program.here(six)
    _refuse_loopback_six(program, refuse)
    if own.ipv6:
        program.bind(socket.AF_INET6, words(own.ipv6[0]))
        program.leave(1)
    return program.finished(refuse)


def _refuse_loopback_six(program: AddressAssembler, refuse: JumpTarget) -> None:
    """Refuse ::1 and the wildcard as destinations: IPv6 has but one address of loopback, and that is the host's."""
    other = JumpTarget()
    program.unless_six_begins((0, 0, 0), other)
    program.load_word(Register.R4, CONTEXT, AddressField.IP6 + 12)
    program.jump_if(Register.R4, Comparison.EQUAL, 0, refuse)
    program.jump_if(Register.R4, Comparison.EQUAL, native(b"\0\0\0\1"), refuse)
    program.here(other)


def _sent(own: OwnAddresses) -> bytes:
    """A datagram without a connection: where it goes, and where it comes from if its sender does not say."""
    program, refuse, given, done = AddressAssembler(own), JumpTarget(), JumpTarget(), JumpTarget()
    program.load_word(ADDRESS, CONTEXT, AddressField.IP4)
    program.destination(refuse)
    program.store_word(CONTEXT, AddressField.IP4, ADDRESS)
    program.load_word(Register.R2, CONTEXT, AddressField.MESSAGE_IP4)
    program.jump_if(Register.R2, Comparison.UNEQUAL, 0, given)
    program.store_word(CONTEXT, AddressField.MESSAGE_IP4, SOURCE)
    program.jump(done)
    program.here(given)
    program.if_one_of(Register.R2, own.ipv4, done)
    program.unless_within(Register.R2, own.loopback, refuse)
    program.here(done)
    program.leave(1)
    return program.finished(refuse)


def _sent_six(own: OwnAddresses) -> bytes:
    program, refuse, given, done = AddressAssembler(own), JumpTarget(), JumpTarget(), JumpTarget()
    _refuse_loopback_six(program, refuse)
    if own.ipv6:
        for place in range(4):
            program.load_word(Register.R4, CONTEXT, AddressField.MESSAGE_IP6 + 4 * place)
            program.jump_if(Register.R4, Comparison.UNEQUAL, 0, given)
        program.store_words(AddressField.MESSAGE_IP6, words(own.ipv6[0]))
        program.jump(done)
        program.here(given)
        program.if_one_of_six(CONTEXT, AddressField.MESSAGE_IP6, done)
        program.jump(refuse)
        program.here(done)
        program.leave(1)
    return program.finished(refuse)


def _told(own: OwnAddresses) -> bytes:
    """An address that programs are told: the group's loopback is theirs."""
    return _told_at(AddressAssembler(own), AddressField.IP4, JumpTarget())


def _told_six(own: OwnAddresses) -> bytes:
    program, other = AddressAssembler(own), JumpTarget()
    program.unless_six_begins((0, 0, MAPPED), other)
    return _told_at(program, AddressField.IP6 + 12, other)


def _told_at(program: AddressAssembler, offset: int, other: JumpTarget) -> bytes:
    program.load_word(ADDRESS, CONTEXT, offset)
    program.unless_within(ADDRESS, program.own.loopback, other)
    program.translate(ADDRESS, LOOPBACK)
    program.store_word(CONTEXT, offset, ADDRESS)
    program.here(other)
    program.leave(1)
    return program.program()


def _header(program: AddressAssembler, size: int, drop: JumpTarget) -> None:
    """R2 = where the packet's header of that size begins."""
    program.load_word(Register.R2, CONTEXT, _DATA)
    program.load_word(Register.R3, CONTEXT, _DATA_END)
    program.copy(Register.R4, Register.R2)
    program.add(Register.R4, size)
    program.jump_if_beyond(Register.R4, Register.R3, drop)


def _by_version(program: AddressAssembler, six: JumpTarget, drop: JumpTarget) -> None:
    program.load_word(Register.R4, CONTEXT, _PACKET_PROTOCOL)
    program.from_network_order(Register.R4)
    program.jump_if(Register.R4, Comparison.EQUAL, _ETHERNET_IPV6, six)
    program.jump_if(Register.R4, Comparison.UNEQUAL, _ETHERNET_IPV4, drop)


def _arriving(own: OwnAddresses) -> bytes:
    """Packets to the group's addresses. Who listens without a bind has the wildcard, and still hears no others."""
    program, drop, six, passed = AddressAssembler(own), JumpTarget(), JumpTarget(), JumpTarget()
    _by_version(program, six, drop)
    _header(program, 20, drop)
    program.load_word(ADDRESS, Register.R2, 16)
    program.if_one_of(ADDRESS, own.ipv4, passed)
    program.unless_within(ADDRESS, own.loopback, drop)
    program.jump(passed)
    program.here(six)
    _header(program, 40, drop)
    program.if_one_of_six(Register.R2, 24, passed)
    program.jump(drop)
    program.here(passed)
    program.leave(1)
    return program.finished(drop)


def _leaving(own: OwnAddresses) -> bytes:
    """Packets from the group's addresses; those from and to its loopback stay with who is bound there.

    A service that has the wildcard hears 127.A.B.x too, as it hears the group's other addresses, and may trust whoever
    comes from loopback. So from there those are reached only where a socket of the group's is.
    """
    program = AddressAssembler(own)
    drop, six, passed, from_own, looked_up, datagrams, both = (JumpTarget() for _ in range(7))
    own_address, own_datagrams, other = JumpTarget(), JumpTarget(), JumpTarget()
    _by_version(program, six, drop)
    _header(program, 20, drop)
    program.load_word(SOURCE, Register.R2, 12)
    program.load_word(ADDRESS, Register.R2, 16)
    program.if_one_of(SOURCE, own.ipv4, from_own)
    program.unless_within(SOURCE, own.loopback, drop)
    program.if_one_of(ADDRESS, own.ipv4, looked_up)
    program.unless_within(ADDRESS, own.loopback, drop)
    program.jump(looked_up)
    program.here(from_own)
    program.if_loopback(ADDRESS, both)
    program.jump(passed)
    program.here(both)
    program.unless_within(ADDRESS, own.loopback, drop)
    program.here(looked_up)
    program.load_byte(Register.R4, Register.R2, 9)
    program.store_word(STACK, _SAVED, Register.R4)
    program.load_byte(SPARE, Register.R2, 0)
    program.mask(SPARE, 0x0F)
    program.shift_left(SPARE, 2)
    program.store_word(STACK, TUPLE, SOURCE)
    program.store_word(STACK, TUPLE + 4, ADDRESS)
    program.copy(Register.R1, CONTEXT)
    program.copy(Register.R2, SPARE)
    program.copy(Register.R3, STACK)
    program.add(Register.R3, TUPLE_PORTS)
    program.move(Register.R4, 4)
    program.call(Helper.LOAD_BYTES)
    program.jump_if(Register.R0, Comparison.UNEQUAL, 0, drop)
    program.unless_within(ADDRESS, own.loopback, own_address)
    program.load_word(Register.R4, STACK, _SAVED)
    program.jump_if(Register.R4, Comparison.EQUAL, UDP, datagrams)
    program.jump_if(Register.R4, Comparison.UNEQUAL, TCP, drop)
    program.if_bound_there(Helper.LOOKUP_TCP, passed, nobody=passed)
    program.jump(drop)
    program.here(datagrams)
    program.if_bound_there(Helper.LOOKUP_UDP, passed, nobody=passed)
    program.jump(drop)
    program.here(own_address)
    program.load_word(Register.R4, STACK, _SAVED)
    program.jump_if(Register.R4, Comparison.EQUAL, UDP, own_datagrams)
    program.jump_if(Register.R4, Comparison.UNEQUAL, TCP, drop)
    program.if_of_group(Helper.LOOKUP_TCP, passed, nobody=passed)
    program.jump(drop)
    program.here(own_datagrams)
    program.if_of_group(Helper.LOOKUP_UDP, passed, nobody=passed)
    program.jump(drop)
    program.here(six)
    _header(program, 40, drop)
    for place, part in enumerate(words(IPv6Address("::1"))):
        program.load_word(Register.R4, Register.R2, 24 + 4 * place)
        program.jump_if(Register.R4, Comparison.UNEQUAL, part, other)
    program.jump(drop)
    program.here(other)
    program.if_one_of_six(Register.R2, 8, passed)
    program.jump(drop)
    program.here(passed)
    program.leave(1)
    return program.finished(drop)


_PACKETS, _SOCKETS, _ADDRESSES = 8, 9, 18
"""Program types: BPF_PROG_TYPE_CGROUP_SKB, _SOCK, _SOCK_ADDR."""

HOOKS: dict[str, tuple[ProgramKind, Callable[[OwnAddresses], bytes]]] = {
    "arriving": (ProgramKind(_PACKETS, 0), _arriving),
    "leaving": (ProgramKind(_PACKETS, 1), _leaving),
    "made": (ProgramKind(_SOCKETS, 2), _made),
    "bound4": (ProgramKind(_ADDRESSES, 8), _bound),
    "bound6": (ProgramKind(_ADDRESSES, 9), _bound_six),
    "connected4": (ProgramKind(_ADDRESSES, 10), _connected),
    "connected6": (ProgramKind(_ADDRESSES, 11), _connected_six),
    "sent4": (ProgramKind(_ADDRESSES, 14), _sent),
    "sent6": (ProgramKind(_ADDRESSES, 15), _sent_six),
    "received4": (ProgramKind(_ADDRESSES, 19), _told),
    "received6": (ProgramKind(_ADDRESSES, 20), _told_six),
    "peer4": (ProgramKind(_ADDRESSES, 29), _told),
    "peer6": (ProgramKind(_ADDRESSES, 30), _told_six),
    "name4": (ProgramKind(_ADDRESSES, 31), _told),
    "name6": (ProgramKind(_ADDRESSES, 32), _told_six),
}
"""Where a group is asked, and what answers. Source: enum bpf_attach_type; since Linux 5.8."""


@lru_cache(64)
def address_programs(own: OwnAddresses) -> dict[str, tuple[ProgramKind, bytes]]:
    """Return the programs that hold a group to its addresses, by what each answers."""
    return {name: (kind, write(own)) for name, (kind, write) in HOOKS.items()}


def hold_to(directory: str, own: OwnAddresses) -> None:
    """Hold the sockets of a v2 group, and of those below it, to addresses: sockets that are made from now on.

    Raises: OSError, as where the kernel has no such programs.
    """
    numbered = replace(own, group=os.stat(directory).st_ino & 0xFFFFFFFF)
    for name, (kind, program) in address_programs(numbered).items():
        bpf.put_in_place(directory, kind, program, f"insula_{name}")


def can_be_held() -> bool:
    """Whether this kernel takes such programs from us: those that need the latest of kernels."""
    any_addresses = OwnAddresses(ipv4=(LOOPBACK[1],), ipv6=(), ports=(), loopback=LOOPBACK)
    programs = address_programs(any_addresses)
    try:
        for name in ("bound6", "leaving", "name6"):
            os.close(bpf.load_program(*programs[name], name))
    except OSError:
        return False
    return True
