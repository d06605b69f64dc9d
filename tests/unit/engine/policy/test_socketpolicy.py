import errno
import socket

import pytest

from insula.engine.policy.socketpolicy import (
    FAMILIES,
    NETLINK,
    USUAL_FAMILIES,
    USUAL_NETLINK,
    option_refusals,
    socket_rules,
)
from insula.engine.spec import Seccomp
from insula.errors import InvalidArgumentError
from insula.kernel.callfilter import Filter, compile_filter
from insula.kernel.callnumbers import call_numbers
from tests.callfilters import COMPANION, NATIVE, answer

STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5
FLAGS = 0o4000 | 0o2000000
SCTP, DCCP, SMC, ESP, VRRP = 132, 33, 256, 50, 112


def compiled(seccomp: Seccomp) -> bytes:
    return compile_filter(Filter(rules=tuple(socket_rules(seccomp))))


def made(family: int, kind: int = STREAM, protocol: int = 0, *, seccomp: Seccomp | None = None) -> set[int | None]:
    """What the calls that make a socket are answered, on both architectures."""
    program = compiled(seccomp or Seccomp())
    return {
        answer(program, call_numbers(architecture)[name], family, kind | FLAGS, protocol, architecture=architecture)
        for architecture in (NATIVE, COMPANION)
        for name in ("socket", "socketpair")
    }


def test_the_usual_families_pass_and_all_others_are_unknown() -> None:
    usual = {FAMILIES[name] for name in USUAL_FAMILIES}
    assert {family for family in range(300) if made(family) == {None}} == usual
    assert made(2**32 - 1) == {errno.EAFNOSUPPORT}
    assert made(1 << 32 | socket.AF_UNIX) == {None}


def test_the_usual_netlink_protocols_pass_and_all_others_are_unknown() -> None:
    usual = {NETLINK[name] for name in USUAL_NETLINK}
    assert {number for number in range(64) if made(16, RAW, number) == {None}} == usual
    assert made(16, RAW, NETLINK["xfrm"]) == {errno.EPROTONOSUPPORT}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_ip_has_tcp_udp_and_icmp_and_raw_sockets_of_any_protocol(family: int) -> None:
    passing = [(STREAM, 0), (STREAM, 6), (STREAM, 262), (DGRAM, 0), (DGRAM, 17), (DGRAM, 1), (RAW, ESP), (RAW, VRRP)]
    assert all(made(family, *each) == {None} for each in passing)
    refused = [(STREAM, SCTP), (STREAM, SMC), (DGRAM, 115), (DGRAM, 136)]
    assert all(made(family, *each) == {errno.EPROTONOSUPPORT} for each in refused)
    assert made(family, SEQPACKET, SCTP) == made(family, 6, DCCP) == {errno.ESOCKTNOSUPPORT}


def test_what_is_named_passes_besides() -> None:
    assert made(FAMILIES["can"], RAW, seccomp=Seccomp(families=("can",))) == {None}
    assert made(16, RAW, NETLINK["xfrm"], seccomp=Seccomp(netlink=("xfrm",))) == {None}
    sctp = Seccomp(transports=("sctp",))
    assert made(2, STREAM, SCTP, seccomp=sctp) == made(10, SEQPACKET, SCTP, seccomp=sctp) == {None}
    assert made(2, STREAM, SMC, seccomp=sctp) == {errno.EPROTONOSUPPORT}


def test_tcp_gets_no_upper_layer_unless_it_is_allowed() -> None:
    asked = (call_numbers()["setsockopt"], 3, socket.IPPROTO_TCP, 31)
    assert answer(compiled(Seccomp()), *asked) == errno.ENOENT
    assert answer(compiled(Seccomp(upper_layers=True)), *asked) is None


@pytest.mark.parametrize("option", [5, 13])
def test_packet_sockets_get_no_ring_unless_it_is_allowed(option: int) -> None:
    number = call_numbers()["setsockopt"]
    asked = (number, 3, 263, option)
    assert answer(compiled(Seccomp()), *asked) == errno.ENOPROTOOPT
    assert answer(compiled(Seccomp()), number, 3, 263, 1) is None
    assert answer(compiled(Seccomp(packet_rings=True)), *asked) is None


@pytest.mark.parametrize("wrong", [Seccomp(families=("inet7",)), Seccomp(netlink=("x",)), Seccomp(transports=("tcp",))])
def test_a_name_of_nothing_is_refused(wrong: Seccomp) -> None:
    with pytest.raises(InvalidArgumentError, match="choose of"):
        socket_rules(wrong)


def test_options_of_what_is_allowed_are_not_refused_behind_the_filter() -> None:
    assert [each.level for each in option_refusals(Seccomp())] == [279, 272, 6, 263, 263]
    assert option_refusals(Seccomp(families=("alg", "rxrpc"), upper_layers=True, packet_rings=True)) == ()
