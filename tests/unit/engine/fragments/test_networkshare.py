"""Tests of insula.engine.fragments.networkshare: which containers can be held to a share of the host's network."""

from dataclasses import replace

import pytest

from insula.engine.fragments.networkshare import check_share, loopback_of
from insula.engine.interfacespec import NetworkKind, NetworkShare
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange, Seccomp, SeccompProfile
from insula.errors import InsulaError
from tests.plans import UNIFIED


def id_map(first: int) -> IdMap:
    ranges = (IdRange(inside=0, outside=first, count=65536),)
    return IdMap(uids=ranges, gids=ranges)


SHARE = NetworkShare(addresses=("192.0.2.7", "2001:db8::7"), ports=((80, 80), (8000, 8099)))
SPEC = ContainerSpec(
    name="guest",
    uuid="3a3ab21a-0e2e-4a2b-8c4e-0a3d9a3a9a01",
    root=DirectoryRoot(path="/srv/guest"),
    idmap=id_map(1 << 20),
    network=NetworkKind.HOST,
    network_share=SHARE,
)


def test_it_reads_as_addresses_and_ports() -> None:
    assert str(SHARE) == "192.0.2.7 and 2001:db8::7, ports 80, 8000-8099"
    assert str(NetworkShare(addresses=("192.0.2.7",))) == "192.0.2.7"


@pytest.mark.parametrize(
    ("first", "loopback"), [(65536, "127.1.1.0/24"), (100000, "127.1.1.0/24"), (1 << 20, "127.1.16.0/24")]
)
def test_each_range_of_ids_has_a_loopback_of_its_own(first: int, loopback: str) -> None:
    assert loopback_of(replace(SPEC, idmap=id_map(first))) == loopback


def test_the_last_ids_have_the_last_loopback() -> None:
    assert loopback_of(replace(SPEC, idmap=id_map((65536 - 258) << 16))) == "127.255.254.0/24"


def test_what_can_be_held_is_taken_and_without_a_share_nothing_is_asked() -> None:
    check_share(SPEC, UNIFIED)
    check_share(replace(SPEC, network_share=None, idmap=None), replace(UNIFIED, address_programs=False))


def share(*addresses: str, ports: tuple[tuple[int, int], ...] = ()) -> ContainerSpec:
    return replace(SPEC, network_share=NetworkShare(addresses=addresses, ports=ports))


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (replace(SPEC, network=NetworkKind.PRIVATE), "needs the host's network"),
        (replace(SPEC, idmap=None, privileged=True), "a privileged container cannot be held"),
        (replace(SPEC, idmap=id_map(1000)), "needs ids of the host from 65536 on"),
        (replace(SPEC, idmap=id_map((65536 - 257) << 16)), "needs ids of the host from 65536 on"),
        (replace(SPEC, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)), "needs the filter"),
        (replace(SPEC, seccomp=Seccomp(families=("can",))), "the family 'can' would use the host's network"),
        (replace(SPEC, seccomp=Seccomp(allow=("io_uring_setup",))), "needs the filter for 'io_uring_setup'"),
        (share(), "has 1 to 32 addresses, not 0"),
        (share(*(f"192.0.2.{number}" for number in range(1, 34))), "has 1 to 32 addresses, not 33"),
        (share("192.0.2.7", "192.0.2.7"), "the address 192.0.2.7 is there twice"),
        (share("nowhere"), "'nowhere' is no IP address"),
        *((share(each), f"{each} cannot be the guest's") for each in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "::")),
        *((share(each), f"{each} cannot be the guest's") for each in ("::1", "fe80::1", "::ffff:192.0.2.7")),
        (share("255.255.255.255"), "255.255.255.255 cannot be the guest's"),
        (share("192.0.2.7", ports=((0, 1),)), "'0-1' is no range of ports"),
        (share("192.0.2.7", ports=((2, 1),)), "'2-1' is no range of ports"),
        (share("192.0.2.7", ports=((1, 65536),)), "'1-65536' is no range of ports"),
        (share("192.0.2.7", ports=tuple((port, port) for port in range(1, 66))), "at most 64 ranges of ports, not 65"),
    ],
)
def test_what_cannot_be_held_is_refused(spec: ContainerSpec, complaint: str) -> None:
    with pytest.raises(InsulaError, match=complaint):
        check_share(spec, UNIFIED)


def test_a_host_without_the_hooks_refuses_and_says_what_it_lacks() -> None:
    with pytest.raises(InsulaError, match=r"takes programs on a group of the unified hierarchy \(Linux 5.12"):
        check_share(SPEC, replace(UNIFIED, address_programs=False))
