"""Ways round a share of the host's network that programs, and sockets that somebody hands in, may try."""

import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula.engine.enter.callinside import call_inside
from tests.guests import Guests
from tests.system.test_network_share import OTHERS, OWN, addresses, launched
from tests.waiting import patience, scaled

__all__ = ["addresses"]
pytestmark = [pytest.mark.requires("cgroup2", "bpf.cgroup_addresses"), pytest.mark.usefixtures("addresses")]

PORT = 4722
_FREEBIND, _TRANSPARENT = 15, 19
"""IP_FREEBIND, IP_TRANSPARENT."""
_NOT_HERE = "192.0.2.99"


def tried(act: Callable[[], str]) -> str:
    """Return what becomes of it: its word, or the name of the error."""
    try:
        return act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def made(family: int, kind: int, protocol: int = 0) -> Callable[[], str]:
    def make() -> str:
        with socket.socket(family, kind, protocol):
            return "made"

    return make


def bound(address: str, *settings: tuple[int, int, int], port: int = PORT) -> Callable[[], str]:
    """Bind a socket to an address with some settings; return where it is bound."""

    def bind() -> str:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
            for each in settings:
                made.setsockopt(*each)
            made.bind((address, port))
            return str(made.getsockname()[0])

    return bind


def by_device() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        made.bind((OTHERS, PORT))
        return "bound"


def connected_again() -> str:
    """Datagrams go to one address, then to another; return whom they come from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect((OTHERS, PORT))
        first = made.getsockname()[0]
        made.connect((OWN, PORT))
        return f"{first} {made.getsockname()[0]}"


def listening_unbound() -> str:
    """Listen without a bind, and be called at another's address."""
    with socket.socket() as made:
        made.listen()
        port = made.getsockname()[1]
        with socket.socket() as calling:
            calling.settimeout(scaled(0.5))
            calling.connect((OTHERS, port))
            return "reached"


def joined() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        membership = struct.pack("=4s4s", socket.inet_aton("224.0.0.251"), socket.inet_aton(OTHERS))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        made.bind(("224.0.0.251", PORT))
        return "joined"


REUSE = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
ONLY_6 = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
BOTH = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
WAYS: dict[str, tuple[Callable[[], str], set[str]]] = {
    "its own address": (bound(OWN), {OWN}),
    "the wildcard of both families": (bound("::", BOTH), {f"::ffff:{OWN}"}),
    "the wildcard of IPv6 alone": (bound("::", ONLY_6), {"EPERM", "EINVAL"}),
    "another's, mapped": (bound(f"::ffff:{OTHERS}", BOTH), {"EPERM"}),
    "the port of a service of the host": (bound(OTHERS, REUSE), {"EPERM"}),
    "an address that is not there": (bound(_NOT_HERE, (socket.IPPROTO_IP, _FREEBIND, 1)), {"EPERM"}),
    "any address": (bound(_NOT_HERE, (socket.IPPROTO_IP, _TRANSPARENT, 1)), {"EPERM"}),
    "a device": (by_device, {"EPERM"}),
    "datagrams, connected again": (connected_again, {f"{OWN} {OWN}"}),
    "listening without a bind": (listening_unbound, {"EPERM", "ETIMEDOUT", "timed out", "ECONNREFUSED"}),
    "a group of another's": (joined, {"EPERM"}),
    "SCTP": (made(socket.AF_INET, socket.SOCK_STREAM, 132), {"EPERM", "EAFNOSUPPORT", "EPROTONOSUPPORT"}),
    "MPTCP": (made(socket.AF_INET, socket.SOCK_STREAM, 262), {"EPERM", "EPROTONOSUPPORT"}),
    "UDP-Lite": (made(socket.AF_INET, socket.SOCK_DGRAM, 136), {"EPERM", "EPROTONOSUPPORT", "EAFNOSUPPORT"}),
    "DCCP": (made(socket.AF_INET, 6, 33), {"EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT"}),
    "VSOCK": (made(40, socket.SOCK_STREAM), {"EPERM", "EAFNOSUPPORT"}),
    "XDP": (made(44, socket.SOCK_RAW), {"EPERM", "EAFNOSUPPORT"}),
    "packets": (made(socket.AF_PACKET, socket.SOCK_RAW), {"EPERM", "EAFNOSUPPORT"}),
}


@pytest.fixture
def host_service(addresses: None) -> Iterator[None]:
    """A service of the host that shares its port with whoever may."""
    with socket.socket() as made:
        made.setsockopt(*REUSE)
        made.bind((OTHERS, PORT))
        made.listen()
        yield


@pytest.mark.usefixtures("host_service")
def test_no_setting_of_a_socket_leads_round_its_share(guests: Guests, busybox_root: Path) -> None:
    running = launched(guests, busybox_root)
    found = call_inside(running, lambda: {name: tried(act) for name, (act, _) in WAYS.items()})
    assert {name: said for name, said in found.items() if said not in WAYS[name][1]} == {}


def test_a_socket_that_the_host_hands_in_is_the_hosts(guests: Guests, busybox_root: Path) -> None:
    """Its programs are of the group that made it: who hands one in gives away what it can do."""
    running = launched(guests, busybox_root)
    place = busybox_root / "handed"

    def inside() -> str:
        with socket.socket(socket.AF_UNIX) as way:
            way.connect("/handed")
            _, (descriptor,), _, _ = socket.recv_fds(way, 1, 1)
        with socket.socket(fileno=descriptor) as handed:
            handed.bind((OTHERS, PORT))
            return str(handed.getsockname()[0])

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(place))
        door.listen()
        door.settimeout(patience(10))
        place.chmod(0o777)

        def give() -> None:
            taker, _ = door.accept()
            with taker, socket.socket() as given:
                socket.send_fds(taker, [b"x"], [given.fileno()])

        giver = threading.Thread(target=give)
        giver.start()
        said = call_inside(running, lambda: tried(inside))
        giver.join()
    place.unlink()
    assert said == OTHERS
