"""Cards of type `user`: packets that pasta and slirp4netns carry between a guest and what is beyond the host."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.interfacespec import Address, ForwardedPorts, ForwardedRange, UserHelper, UserInterface
from insula.errors import InsulaError
from insula.kernel.processidentity import ProcessIdentity, processes_where
from insula.network.guestinterfaces import done_in
from insula.network.netlink import NetlinkPerformer
from tests.hostnet import BEYOND, BEYOND_6, GATEWAY, HOST_ADDRESS, HOST_ADDRESS_6, HostNet
from tests.testhost import TestHost
from tests.waiting import patience, scaled, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped", "passt", "slirp4netns")

IDLE = ("/bin/sleep", "100000")
HELPERS = pytest.mark.parametrize("helper", list(UserHelper), ids=lambda each: each.value)
MAC = "52:54:00:12:34:56"
OWN = (Address(address="10.0.2.15", prefix=24), Address(address="fd00::15", prefix=64))
PORT = 4711
TAKEN = ForwardedPorts(protocol="tcp", ranges=(ForwardedRange(first=PORT, last=PORT, to=80),))
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
BIND_LOW_PORTS = 1 << 10


@pytest.fixture
def engine(hostnet: HostNet) -> Iterator[Engine]:
    with hostnet.host.network():
        performer = NetlinkPerformer()
    with closing(performer), Engine(interfaces=performer) as made:
        yield made


def card(helper: UserHelper, *forwards: ForwardedPorts, addresses: tuple[Address, ...] = OWN) -> UserInterface:
    return UserInterface(guest="eth0", mac=MAC, helper=helper, addresses=addresses, forwards=forwards)


@contextmanager
def running(root: Path, engine: Engine, *cards: UserInterface, privileged: bool = False) -> Iterator[Container]:
    guest = Container(root, init=IDLE, ephemeral=True, interfaces=cards, engine=engine, privileged=privileged)
    with guest:
        yield guest


def helpers() -> list[ProcessIdentity]:
    """Return the helpers there are, launchers too."""
    return processes_where(lambda command, _: any(word.startswith(b"insula:") for word in (command[0], command[-1])))


def said(guest: Container, *command: str) -> str:
    return guest.run(list(command)).stdout.decode()


def in_guest(guest: Container, family: int, kind: int) -> socket.socket:
    """Return a socket of the test's in the guest's network."""
    network = os.open(f"/proc/{guest.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        made = done_in(network, lambda: socket.socket(family, kind))
    finally:
        os.close(network)
    made.settimeout(patience(5))
    return made


def on(machine: TestHost, family: int, kind: int) -> socket.socket:
    with machine.network():
        made = socket.socket(family, kind)
    made.settimeout(patience(5))
    return made


def talk(calling: socket.socket, listening: socket.socket, called: tuple[str, int], at: tuple[str, int]) -> str:
    """Have one call an address and port, and both say something; return whom the other, which listens at one, sees."""
    with calling, listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(at)
        if calling.type == socket.SOCK_DGRAM:
            calling.connect(called)
            calling.send(b"question")
            question, peer = listening.recvfrom(100)
            assert question == b"question"
            listening.sendto(b"answer", peer)
            assert calling.recv(100) == b"answer"
            return str(peer[0])
        listening.listen()
        calling.connect(called)
        calling.sendall(b"question")  # passt of 2023 tells the guest of a connection once something is said there
        accepted, peer = listening.accept()
        with accepted:
            accepted.settimeout(patience(5))
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert calling.recv(100) == b"answer"
        return str(peer[0])


Sockets = Callable[[int, int], socket.socket]
"""Makes a socket of a family and kind somewhere."""


def reaches(
    caller: Sockets, other: Sockets, *, family: int, kind: int, called: tuple[str, int], at: tuple[str, int]
) -> str:
    """Return whom the other sees when it is called: as `talk`, from the first call on that is answered.

    passt of 2023 loses a connection that begins while another one ends.
    """
    seen: list[str] = []

    def answered() -> bool:
        try:
            seen.append(talk(caller(family, kind), other(family, kind), called, at))
        except (AssertionError, OSError):
            return False
        return True

    until(answered, f"an answer at {called}")
    return seen[0]


def calls_outwards(guest: Container, hostnet: HostNet, address: str, kind: int = socket.SOCK_STREAM) -> str:
    """Return whom a machine beyond the host sees when the guest calls it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    caller, other, place = partial(in_guest, guest), partial(on, hostnet.outside), (address, PORT)
    return reaches(caller, other, family=family, kind=kind, called=place, at=place)


@HELPERS
def test_a_guest_reaches_what_is_beyond_under_an_address_of_the_host(
    busybox_root: Path, engine: Engine, hostnet: HostNet, helper: UserHelper
) -> None:
    links = hostnet.host.run("ip", "-o", "link").stdout.count("\n")
    with running(busybox_root, engine, card(helper)) as guest:
        for kind in KINDS:
            assert calls_outwards(guest, hostnet, BEYOND, kind) == HOST_ADDRESS
            assert calls_outwards(guest, hostnet, BEYOND_6, kind) == HOST_ADDRESS_6
        assert hostnet.host.run("ip", "-o", "link").stdout.count("\n") == links, "nothing was made on the host"
    until(lambda: not helpers(), "the helper's end")


@HELPERS
def test_ports_of_the_host_lead_to_the_guest_and_no_other(
    busybox_root: Path, engine: Engine, hostnet: HostNet, helper: UserHelper
) -> None:
    ranges = (ForwardedRange(first=8080, last=8081, to=80),)
    forwards = [ForwardedPorts(protocol=each, ranges=ranges) for each in ("tcp", "udp")]
    hosts = {socket.AF_INET: HOST_ADDRESS, socket.AF_INET6: HOST_ADDRESS_6}
    if helper is UserHelper.SLIRP4NETNS:
        del hosts[socket.AF_INET6]  # of which it forwards nothing
    with running(busybox_root, engine, card(helper, *forwards)) as guest:
        for family, address in hosts.items():
            for kind in KINDS:
                caller, other = partial(on, hostnet.outside), partial(in_guest, guest)
                reaches(caller, other, family=family, kind=kind, called=(address, 8081), at=("", 81))
        with on(hostnet.outside, socket.AF_INET, socket.SOCK_STREAM) as wrong, pytest.raises(ConnectionRefusedError):
            wrong.connect((HOST_ADDRESS, 8082))


@HELPERS
def test_services_of_the_hosts_loopback_are_out_of_reach(
    busybox_root: Path, engine: Engine, hostnet: HostNet, helper: UserHelper
) -> None:
    with (
        running(busybox_root, engine, card(helper)) as guest,
        on(hostnet.host, socket.AF_INET, socket.SOCK_STREAM) as service,
    ):
        service.bind(("127.0.0.1", PORT))
        service.listen()
        for address in ("10.0.2.2", "127.0.0.1"):
            with in_guest(guest, socket.AF_INET, socket.SOCK_STREAM) as calling:
                calling.settimeout(scaled(0.5))
                assert calling.connect_ex((address, PORT)) != 0
        service.settimeout(0.1)
        with pytest.raises(TimeoutError):
            service.accept()


@pytest.mark.requires("dnsmasq")
@HELPERS
@pytest.mark.parametrize("where", ["127.0.0.53", GATEWAY])
def test_names_are_asked_where_the_host_asks_its_loopback_too(
    busybox_root: Path, engine: Engine, hostnet: HostNet, scratch: Path, helper: UserHelper, where: str
) -> None:
    (scratch / "resolv.conf").write_text(f"nameserver {where}\n")
    machine = hostnet.host if where.startswith("127.") else hostnet.outside
    words = ("dnsmasq", "-C", "/dev/null", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces")
    known = (f"--listen-address={where}", "--address=/shop.test/192.0.2.77")
    server = machine.start(*words, *known, stderr=subprocess.DEVNULL)
    subprocess.run(["mount", "--bind", str(scratch / "resolv.conf"), "/etc/resolv.conf"], check=True)
    try:
        with running(busybox_root, engine, card(helper)) as guest:
            question = ("nslookup", "-type=a", "shop.test", "10.0.2.3")
            until(lambda: "192.0.2.77" in said(guest, *question), "the helper's answer")
            guest.run(["sh", "-c", "printf '#!/bin/sh\\necho $1 $ip $router $dns\\n' >/tmp/told; chmod 755 /tmp/told"])
            (lease,) = [
                line.split()
                for line in said(guest, "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/tmp/told").splitlines()
                if line.startswith("bound")
            ]
            assert lease[1:3] == ["10.0.2.15", "10.0.2.2"]
            assert "10.0.2.3" in lease[3:]
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)
        server.terminate()
        server.wait()


@HELPERS
def test_a_helper_is_in_the_guests_user_namespace_and_has_no_right_on_the_host(
    busybox_root: Path, engine: Engine, helper: UserHelper
) -> None:
    with running(busybox_root, engine, card(helper)) as guest:
        (process,) = helpers()
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert int(status["Uid"].split()[0]) >= 65536, "an id of the guest's own"
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        spaces = ("user", "pid", "mnt", "ipc")
        here, there = (
            {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in spaces} for pid in ("self", str(process.pid))
        )
        assert all(here[kind] != there[kind] for kind in spaces)
        assert there["user"] == os.stat(f"/proc/{guest.pid}/ns/user").st_ino
        groups = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
        assert all(".scope.helpers" in line or "/helpers" in line for line in groups if "insula" in line)
        assert any("helpers" in line for line in groups)
        assert str(process.pid) not in said(guest, "ps", "-o", "pid").split()


def test_a_privileged_guest_is_served_by_slirp4netns_alone(
    busybox_root: Path, engine: Engine, hostnet: HostNet
) -> None:
    chosen = UserInterface(guest="eth0", mac=MAC, addresses=OWN[:1])
    with running(busybox_root, engine, chosen, privileged=True) as guest:
        (process,) = helpers()
        assert b"/slirp4netns\0" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        status = Path(f"/proc/{process.pid}/status").read_text()
        effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
        assert int(effective, 16) & ~BIND_LOW_PORTS == 0
        assert calls_outwards(guest, hostnet, BEYOND) == HOST_ADDRESS
    refused = running(busybox_root, engine, card(UserHelper.PASTA), privileged=True)
    with pytest.raises(InsulaError, match="remove <backend type='passt'/>"), refused:
        pass


def test_a_card_is_plugged_in_loses_its_carrier_and_is_plugged_out_while_the_guest_runs(
    busybox_root: Path, engine: Engine, hostnet: HostNet
) -> None:
    wanted = card(UserHelper.PASTA)
    with running(busybox_root, engine) as guest:
        guest.attach_interface(wanted)
        assert calls_outwards(guest, hostnet, BEYOND) == HOST_ADDRESS
        for up, carrier in ((False, "0"), (True, "1")):
            guest.replug_interface(replace(wanted, up=up))
            assert said(guest, "cat", "/sys/class/net/eth0/carrier").strip() == carrier
        guest.detach_interface("eth0")
        assert "eth0" not in said(guest, "ip", "link")
        assert not helpers()


def test_a_helper_writes_the_log_that_is_asked_for(
    busybox_root: Path, engine: Engine, hostnet: HostNet, scratch: Path
) -> None:
    log = scratch / "card.log"
    for _ in range(2):  # the second time it is there already
        with running(busybox_root, engine, replace(card(UserHelper.PASTA), log=str(log))) as guest:
            assert calls_outwards(guest, hostnet, BEYOND) == HOST_ADDRESS
    assert "10.0.2.15" in log.read_text()


@pytest.mark.parametrize(
    ("interface", "complaint"),
    [
        (card(UserHelper.PASTA, TAKEN), "4711"),
        (card(UserHelper.SLIRP4NETNS, TAKEN), "port 4711"),
        (card(UserHelper.PASTA, addresses=(Address(address="10.0.2.2", prefix=24),)), "is the helper's own"),
        (card(UserHelper.SLIRP4NETNS, addresses=(Address(address="10.0.2.9", prefix=28),)), "install passt"),
    ],
)
def test_what_cannot_be_is_refused_with_why_and_nothing_is_left(
    busybox_root: Path, engine: Engine, hostnet: HostNet, interface: UserInterface, complaint: str
) -> None:
    with on(hostnet.host, socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("", PORT))
        taken.listen()
        with pytest.raises(InsulaError, match=complaint), running(busybox_root, engine, interface):
            pass
    assert not helpers()


def test_a_host_without_helpers_says_what_to_install(busybox_root: Path, engine: Engine) -> None:
    places = [os.path.realpath(f"/usr/bin/{each.value}") for each in UserHelper]
    for place in places:
        subprocess.run(["mount", "--bind", "/dev/null", place], check=True)
    try:
        refused = running(busybox_root, engine, UserInterface(guest="eth0"))
        with pytest.raises(InsulaError, match="install passt or slirp4netns"), refused:
            pass
    finally:
        for place in places:
            subprocess.run(["umount", place], check=True)
