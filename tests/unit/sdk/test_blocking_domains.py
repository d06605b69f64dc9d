"""Hosts and domains, blocking: each verb once, end to end over a socket."""

import os
from collections.abc import Iterator

import pytest

from insula.errors import DomainNotFoundError
from insula.model.domainstates import DomainState, LifecycleKind
from insula.model.numbers import MetadataType
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.connecting import connect
from insula.sdk.values import ExecRequest
from tests.fakeserver import FakeServer
from tests.unit.sdk.answers import RUNNING, WEB
from tests.waiting import patience


@pytest.fixture
def host(server: FakeServer) -> Iterator[Host]:
    with connect(server.path) as opened:
        yield opened


@pytest.fixture
def web(host: Host) -> Domain:
    return host.domain("web")


def test_domains_are_listed_found_defined_and_created(host: Host) -> None:
    assert [domain.name for domain in host.domains()] == ["web"]
    assert host.domain("web").uuid == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert host.domain_by_uuid("000102030405060708090a0b0c0d0e0f").ref == WEB
    assert host.domain_by_id(7).ref == RUNNING
    assert host.define("<domain/>").ref == WEB
    assert host.create("<domain/>").ref == RUNNING
    with pytest.raises(DomainNotFoundError):
        host.domain("nosuch")


def test_a_domain_names_itself(web: Domain) -> None:
    assert repr(web) == "<domain 'web' 00010203-0405-0607-0809-0a0b0c0d0e0f>"


def test_starting_a_domain_gives_it_its_id(web: Domain) -> None:
    assert web.ref.id == -1
    web.start()
    assert web.ref.id == 7


def test_the_verbs_of_a_domain(server: FakeServer, web: Domain) -> None:
    before = len(server.calls)
    web.shutdown()
    web.reboot()
    web.suspend()
    web.resume()
    web.undefine()
    web.set_autostart(wanted=True)
    web.set_memory(1024)
    web.attach("<disk/>")
    web.detach("<disk/>")
    web.resize_console(24, 80)
    web.destroy()
    assert server.calls[before:] == [
        "DOMAIN_SHUTDOWN_FLAGS",
        "DOMAIN_REBOOT",
        "DOMAIN_SUSPEND",
        "DOMAIN_RESUME",
        "DOMAIN_UNDEFINE_FLAGS",
        "DOMAIN_SET_AUTOSTART",
        "DOMAIN_SET_MEMORY_FLAGS",
        "DOMAIN_ATTACH_DEVICE_FLAGS",
        "DOMAIN_DETACH_DEVICE_FLAGS",
        "CONSOLE_RESIZE",
        "DOMAIN_DESTROY_FLAGS",
    ]


def test_the_facts_of_a_domain(web: Domain) -> None:
    assert web.state().state is DomainState.RUNNING
    assert web.usage().cpus == 2
    assert web.xml() == "<domain/>"
    assert (web.is_active(), web.is_persistent(), web.autostart()) == (True, False, True)
    assert web.metadata(MetadataType.TITLE) == "a title"
    assert web.info() == {"name": "web"}
    assert web.plan() == {"steps": []}
    assert web.wait().reason == "shutdown"


def test_the_facts_of_a_host(host: Host) -> None:
    assert host.hostname() == "host.example"
    assert host.capabilities() == "<capabilities/>"
    assert host.node_info().model == "x86_64"
    assert host.info() == {"version": "1"}
    assert host.plan("<domain/>") == {"steps": [1]}
    assert host.images() == [{"name": "debian-12"}]
    host.remove_image("debian-12")
    (statistics,) = host.statistics()
    assert statistics.values == {"state.state": 5, "cpu.time": 9}


def test_a_program_runs_with_descriptors_of_ours(web: Domain) -> None:
    reader, writer = os.pipe()
    running = web.execute(ExecRequest(("ls",)), (reader, writer, writer))
    assert os.read(reader, 100) == b'{"argv": ["ls"]}'
    os.close(reader)
    os.close(writer)
    assert (running.pid, running.terminal) == (4711, None)
    running.signal(15)
    assert os.waitstatus_to_exitcode(running.wait()) == 1


def test_a_program_runs_on_a_terminal(web: Domain) -> None:
    running = web.execute(ExecRequest(("sh",), tty=True))
    assert running.terminal is not None
    assert b'"tty": true' in os.read(running.terminal, 100)
    os.close(running.terminal)


def test_consoles_logs_and_builds_are_streams(host: Host, web: Domain) -> None:
    with web.console() as console:
        assert console.read() == b"login: "
    with web.log("console") as lines:
        assert list(lines) == [b"one\n", b"two\n"]
    with host.build_image("new", {}) as progress:
        assert list(progress) == [b"one\n", b"two\n"]


def test_what_happens_is_told_to_who_watches(host: Host, web: Domain) -> None:
    with host.lifecycle() as events:
        web.start()
        web.destroy()
        first, unknown, last = (events.next(patience(5)) for _ in range(3))
        assert first is not None
        assert last is not None
        assert (first.event, last.event) == (LifecycleKind.STARTED, LifecycleKind.STOPPED)
        assert unknown is None  # something that only a newer daemon knows
        assert events.next(0.01) is None


def test_iterating_over_what_happens_passes_over_what_is_unknown(host: Host, web: Domain) -> None:
    with host.lifecycle(WEB) as events:
        web.start()
        web.destroy()
        seen = iter(events)
        assert [next(seen).event, next(seen).event] == [LifecycleKind.STARTED, LifecycleKind.STOPPED]
