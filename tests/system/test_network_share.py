"""Guests with a share of the host's network: the kernel holds init and whoever enters to their addresses."""

import errno
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.enter.callinside import call_inside
from insula.engine.interfacespec import NetworkKind, NetworkShare
from insula.engine.launch.runningcontainer import Running
from tests.guests import FIRST_ID, Guests, id_map, read_until, spec
from tests.waiting import patience

pytestmark = pytest.mark.requires("cgroup2", "bpf.cgroup_addresses")

OWN, OTHERS = "192.0.2.50", "192.0.2.51"


@pytest.fixture
def addresses() -> Iterator[None]:
    """Two addresses more of the host."""
    for each in (OWN, OTHERS):
        subprocess.run(["ip", "address", "add", f"{each}/32", "dev", "lo"], check=True)
    yield
    for each in (OWN, OTHERS):
        subprocess.run(["ip", "address", "delete", f"{each}/32", "dev", "lo"], check=True)


def launched(guests: Guests, root: Path, address: str = OWN, *script: str, **changes: Any) -> Running:
    share = NetworkShare(addresses=(address,), ports=changes.pop("ports", ()))
    changes |= {"network": NetworkKind.HOST, "network_share": share}
    running = guests.launch(spec(root, *script, "echo ready", "exec sleep 1000", **changes))
    read_until(running.consoles[0], b"ready")
    return running


SERVES = ("mkdir -p /tmp/www", "echo hello > /tmp/www/index.html", "httpd -p 80 -h /tmp/www")


@pytest.mark.machine("cgroups")
@pytest.mark.usefixtures("addresses")
def test_its_service_has_its_address_low_ports_included_and_no_other(guests: Guests, busybox_root: Path) -> None:
    running = launched(guests, busybox_root, OWN, *SERVES, ports=((80, 80),))
    with socket.create_connection((OWN, 80), timeout=patience(5)) as calling:
        calling.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        answer = b""
        while part := calling.recv(4096):
            answer += part
    assert answer.endswith(b"hello\n")
    for address in (OTHERS, "127.0.0.1"):
        with socket.socket() as calling:
            assert calling.connect_ex((address, 80)) == errno.ECONNREFUSED
    said, _ = guests.execute(running, "wget", "-qO-", "http://127.0.0.1/index.html")
    assert said == "hello\n"


@pytest.mark.usefixtures("addresses")
def test_who_enters_is_held_as_init_is(guests: Guests, busybox_root: Path) -> None:
    running = launched(guests, busybox_root, ports=((8000, 8001),))
    for address, port in ((OTHERS, 8000), (OWN, 8002)):
        said, status = guests.execute(running, "httpd", "-f", "-p", f"{address}:{port}")
        assert (said, status.code) == ("httpd: bind: Operation not permitted\n", 1)
    with socket.create_server((OTHERS, 4714)) as listening:
        listening.settimeout(patience(10))
        call_inside(running, lambda: socket.create_connection((OTHERS, 4714), timeout=patience(10)).close())
        accepted, peer = listening.accept()
        accepted.close()
        assert peer[0] == OWN


@pytest.mark.usefixtures("addresses")
def test_two_guests_have_the_same_port_of_loopback_and_of_the_wildcard(guests: Guests, busybox_root: Path) -> None:
    more = ("mkdir /tmp/$(hostname)", "hostname > /tmp/$(hostname)/name", "httpd -p 127.0.0.1:4715 -h /tmp/$(hostname)")
    one = launched(guests, busybox_root, OWN, *SERVES, *more, hostname="one")
    ids = id_map(FIRST_ID + 65536)
    other = launched(guests, busybox_root, OTHERS, *SERVES, *more, name="other", hostname="other", idmap=ids)
    for running, name in ((one, "one"), (other, "other")):
        for address, answer in (("127.0.0.1:4715/name", name), ("127.0.0.1/index.html", "hello")):
            said, _ = guests.execute(running, "wget", "-qO-", f"http://{address}")
            assert said == f"{answer}\n"


@pytest.mark.requires("landlock.scopes")
@pytest.mark.usefixtures("addresses")
def test_the_hosts_abstract_sockets_are_out_of_reach(guests: Guests, busybox_root: Path) -> None:
    name = "\0insula-test-abstract"

    def connect() -> int:
        with socket.socket(socket.AF_UNIX) as calling:
            return calling.connect_ex(name)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        held = launched(guests, busybox_root)
        assert call_inside(held, connect) == errno.EPERM
        whole = guests.launch(spec(busybox_root, "sleep 1000", name="whole", network=NetworkKind.HOST))
        assert call_inside(whole, connect) == 0
