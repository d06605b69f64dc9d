"""The distribution's own libvirt-python against a server made of `rpc.Connection`, in a process of its own."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.smallhost import ANSWERS
from tests.fakeserver import FakeServer
from tests.waiting import patience, scaled

pytestmark = pytest.mark.requires("libvirt-python")

CHECKOUT = Path(__file__).parents[2]
PROLOGUE = """
import json, sys, threading
from tests import libvirt_python
libvirt = libvirt_python.load()
libvirt.virEventRegisterDefaultImpl()
libvirt.registerErrorHandler(lambda *_: None, None)
def turn():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=turn, daemon=True).start()
told = []
connection = libvirt.open(sys.argv[1])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(tmp_path / "sock", ANSWERS, keepalive=scaled(0.2)) as running:
        yield running


def told(server: FakeServer, script: str) -> Any:
    """Run a script with a connection; return what it has put into `told`."""
    program = f"{PROLOGUE}{textwrap.dedent(script)}\nconnection.close()\nprint(json.dumps(told))"
    result = subprocess.run(
        [sys.executable, "-c", program, f"lxc+unix:///system?socket={server.path}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_domains_and_their_states_are_typed(server: FakeServer) -> None:
    script = """
    told.append([[each.name(), each.ID(), each.UUIDString(), each.state()] for each in connection.listAllDomains()])
    told.append(connection.lookupByName("web").info())
    told.append(connection.lookupByName("web").memoryParameters(0))
    told.append(connection.getInfo())
    """
    assert told(server, script) == [
        [
            ["web", os.getpid(), "00010203-0405-0607-0809-0a0b0c0d0e0f", [1, 1]],
            ["databank-ä", -1, "10111213-1415-1617-1819-1a1b1c1d1e1f", [5, 2]],
        ],
        [1, 2048, 1024, 2, 5_000_000_000],
        {"hard_limit": 2048, "soft_limit": 1024},
        ["x86_64", 4096, 4, 2000, 1, 1, 2, 2],
    ]


def test_errors_have_libvirts_numbers(server: FakeServer) -> None:
    script = """
    for action in (lambda: connection.lookupByName("nosuch"), lambda: connection.lookupByName("web").reset()):
        try:
            action()
        except libvirt.libvirtError as error:
            told.append([error.get_error_code(), error.get_error_domain(), error.get_error_level(), str(error)])
            told.append([error.get_str1(), error.get_str2()])
    """
    assert told(server, script) == [
        [42, 17, 2, "Domain not found: no domain with matching name 'nosuch'"],
        ["Domain not found: %s", "no domain with matching name 'nosuch'"],
        [3, 20, 2, "this function is not supported by the connection driver: virDomainReset"],
        ["this function is not supported by the connection driver: %s", "virDomainReset"],
    ]


def test_lifecycle_events_reach_the_callback(server: FakeServer) -> None:
    script = f"""
    both = threading.Event()
    def happened(connection, domain, event, detail, _):
        told.append([domain.name(), event, detail])
        if len(told) == 2:
            both.set()
    number = connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, happened, None)
    assert both.wait({scaled(10)})
    connection.domainEventDeregisterAny(number)
    """
    assert told(server, script) == [["web", 2, 0], ["databank-ä", 5, 1]]


def test_keepalive_runs_both_ways(server: FakeServer) -> None:
    script = f"""
    import time
    told.append(connection.setKeepAlive({round(scaled(1))}, 3))
    time.sleep({scaled(1.5)})
    told.append(connection.isAlive())
    told.append(connection.getHostname())
    """
    assert told(server, script) == [0, 1, "host.example"]
    assert not server.sessions[0].dead


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("bye", ["login: BYE", "finished"]),
        ("crash", ["login: CRASH", "internal error: the guest is gone"]),
    ],
)
def test_a_stream_carries_data_both_ways_to_either_end(server: FakeServer, words: str, outcome: list[str]) -> None:
    script = f"""
    stream = connection.newStream()
    connection.lookupByName("web").openConsole(None, stream)
    stream.send(b"{words}")
    seen = b""
    try:
        while data := stream.recv(1000):
            seen += data
        stream.finish()
        ended = "finished"
    except libvirt.libvirtError as error:
        ended = str(error)
    told += [seen.decode(), ended]
    """
    assert told(server, script) == outcome


def test_an_aborted_stream_is_confirmed_and_the_connection_goes_on(server: FakeServer) -> None:
    script = """
    for _ in range(3):
        stream = connection.newStream()
        connection.lookupByName("web").openConsole(None, stream)
        stream.abort()
    told.append(connection.getHostname())
    """
    assert told(server, script) == ["host.example"]
    assert [type(event).__name__ for event in server.sessions[0].stream_events] == ["StreamAbort"] * 3


def test_several_threads_share_one_connection(server: FakeServer) -> None:
    script = """
    def ask():
        for _ in range(50):
            told.append(connection.lookupByName("web").state()[0])
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    """
    assert told(server, script) == [1] * 200


def test_namespaces_arrive_as_open_descriptors(server: FakeServer) -> None:
    script = """
    import importlib.util, os
    from tests.libvirt_python import DIST_PACKAGES
    sys.path.append(str(DIST_PACKAGES))
    import libvirt_lxc
    given = libvirt_lxc.lxcOpenNamespace(connection.lookupByName("web"), 0)
    told.append([os.readlink(f"/proc/self/fd/{fd}") for fd in given])
    """
    links = [os.readlink(f"/proc/{os.getpid()}/ns/{kind}") for kind in ("uts", "ipc", "net")]
    assert told(server, script) == [links]
