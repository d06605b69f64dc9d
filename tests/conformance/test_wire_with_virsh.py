"""The distribution's own virsh against a server made of `rpc.Connection`: what it prints came over our wire."""

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.smallhost import ANSWERS, CAPABILITIES
from tests.fakeserver import FakeServer
from tests.waiting import patience, scaled

pytestmark = pytest.mark.requires("virsh")

SOON = str(round(scaled(2)))
"""Seconds for which virsh waits for events."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(tmp_path / "sock", ANSWERS, keepalive=scaled(0.2)) as running:
        yield running


def command(server: FakeServer, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    virsh = shutil.which("virsh")
    assert virsh is not None
    return [virsh, *options, "-c", f"lxc+unix:///system?socket={server.path}", *arguments]


def virsh(server: FakeServer, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(server, *arguments, options=options),
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )


def shown(server: FakeServer, *arguments: str) -> str:
    result = virsh(server, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def fields(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_list_shows_names_ids_and_states(server: FakeServer) -> None:
    rows = [line.split(maxsplit=2) for line in shown(server, "list", "--all").splitlines()[2:] if line]
    assert rows == [[str(os.getpid()), "web", "running"], ["-", "databank-ä", "shut off"]]


def test_dominfo_is_filled_from_nine_calls(server: FakeServer) -> None:
    facts = fields(shown(server, "dominfo", "web"))
    assert facts["UUID"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert facts["OS Type"] == "exe"
    assert facts["CPU time"] == "5.0s"
    assert facts["Max memory"] == "2048 KiB"
    assert facts["Security model"] == "none"


def test_the_host_is_described(server: FakeServer) -> None:
    facts = fields(shown(server, "nodeinfo"))
    assert (facts["CPU model"], facts["CPU(s)"], facts["Memory size"]) == ("x86_64", "4", "4194304 KiB")
    assert shown(server, "hostname").strip() == "host.example"
    assert shown(server, "capabilities").strip() == CAPABILITIES
    assert "6.18.0" in shown(server, "version")


def test_typed_parameters_and_records_are_read(server: FakeServer) -> None:
    assert fields(shown(server, "memtune", "web"))["hard_limit"] == "2048"
    assert "net.0.name=eth0" in shown(server, "domstats")
    assert "10.0.0.2/24" in shown(server, "domifaddr", "web")


def test_an_error_is_reported_in_the_servers_words(server: FakeServer) -> None:
    result = virsh(server, "destroy", "databank-ä")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "error: Requested operation is not valid: domain is not running"


def test_a_missing_domain_is_missing_to_virsh_too(server: FakeServer) -> None:
    result = virsh(server, "dominfo", "nosuch")
    assert result.returncode == 1
    assert "failed to get domain 'nosuch'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "api"),
    [
        (("reset", "web"), "virDomainReset"),
        (("screenshot", "web", "/dev/null"), "virDomainScreenshot"),
        (("snapshot-list", "web"), "virDomainSnapshotNum"),
        (("net-info", "lan"), "virNetworkLookupByName"),
        (("pool-refresh", "p"), "virStoragePoolLookupByName"),
        (("send-process-signal", "web", "1", "term"), "virDomainSendProcessSignal"),
    ],
)
def test_what_is_not_there_is_reported_by_its_public_name(
    server: FakeServer, arguments: tuple[str, ...], api: str
) -> None:
    result = virsh(server, *arguments)
    assert result.returncode == 1
    assert f"this function is not supported by the connection driver: {api}" in result.stderr


def test_a_read_only_virsh_is_refused_by_its_own_library_or_by_us(server: FakeServer) -> None:
    result = virsh(server, "destroy", "web", options=("-r",))
    assert result.returncode == 1
    assert "operation forbidden: read only access prevents virDomainDestroy" in result.stderr


def test_events_are_printed_as_they_come(server: FakeServer) -> None:
    output = shown(server, "event", "--event", "lifecycle", "--loop", "--timeout", SOON)
    assert "event 'lifecycle' for domain 'web': Started Booted" in output
    assert "event 'lifecycle' for domain 'databank-ä': Stopped Destroyed" in output


def test_every_event_may_be_registered_for(server: FakeServer) -> None:
    assert "lifecycle" in shown(server, "event", "--all", "--loop", "--timeout", SOON)
    assert server.calls.count("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY") >= 25


def test_a_waiting_virsh_answers_our_pings(server: FakeServer) -> None:
    assert "timed out" in virsh(server, "event", "--event", "reboot", "--timeout", SOON).stdout
    (session,) = server.sessions
    assert session.connection.deadline is not None
    assert not session.dead


def interact(terminal: int, wanted: bytes) -> bytes:
    """Read from a terminal until `wanted` has appeared."""
    seen, deadline = b"", time.monotonic() + scaled(15)
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"{wanted!r} did not appear in {seen!r}")
        try:
            seen += os.read(terminal, 4096)
        except OSError as error:  # the other side is gone
            raise EOFError(f"{wanted!r} did not appear in {seen!r}") from error
    return seen


@pytest.fixture
def console(server: FakeServer) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A virsh console on a terminal of its own."""
    master, slave = pty.openpty()
    with subprocess.Popen(command(server, "console", "web"), stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        yield master, process
        process.kill()
    os.close(master)


def test_a_console_shows_what_comes_and_sends_what_is_typed(
    server: FakeServer, console: tuple[int, subprocess.Popen[bytes]]
) -> None:
    terminal, process = console
    interact(terminal, b"login: ")
    os.write(terminal, b"root")
    interact(terminal, b"ROOT")
    os.write(terminal, b"\x1d")  # ^] leaves
    assert process.wait(patience(15)) == 0
    assert [type(event).__name__ for event in server.sessions[0].stream_events][-1] == "StreamFinish"


def test_a_console_ends_when_the_guest_does(console: tuple[int, subprocess.Popen[bytes]]) -> None:
    terminal, process = console
    interact(terminal, b"login: ")
    os.write(terminal, b"bye")
    assert process.wait(patience(15)) == 0


def test_a_console_that_breaks_is_reported_in_the_servers_words(
    console: tuple[int, subprocess.Popen[bytes]],
) -> None:
    terminal, process = console
    interact(terminal, b"login: ")
    os.write(terminal, b"crash")
    interact(terminal, b"the guest is gone")
    process.wait(patience(15))


@pytest.mark.requires("root")
def test_namespaces_are_entered_by_the_descriptors_we_pass(server: FakeServer) -> None:
    output = shown(server, "lxc-enter-namespace", "web", "--noseclabel", "--", "/bin/echo", "from inside")
    assert output.strip() == "from inside"
    assert "DOMAIN_OPEN_NAMESPACE" in server.calls
