"""Channels: lines for bytes between a program in a guest and one of the host, by libvirt's stream or by a socket."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, state
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

NAME = "org.example.0"
PORT = f"/dev/virtio-ports/{NAME}"


def channel_xml(name: str = NAME, path: Path | None = None) -> str:
    source = f"<source mode='bind' path='{path}'/>" if path is not None else ""
    return f"<channel type='unix'>{source}<target type='virtio' name='{name}'/></channel>"


@pytest.fixture
def path(scratch: Path) -> Path:
    return scratch / "channel"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, path: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root, extra=channel_xml(path=path) + channel_xml("org.example.1")))
    insulad.virsh("start", "bb")
    return "bb"


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(patience(20))
        client.connect(os.fspath(path))
        yield client


def read_exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        assert piece, f"the end came after {data!r}"
        data += piece
    return data


def shown_state(insulad: Insulad) -> list[str]:
    return re.findall(r"state='(\w+)'", insulad.virsh("dumpxml", "bb").stdout)


def test_every_byte_passes_both_ways_as_it_is(insulad: Insulad, guest: str, path: Path) -> None:
    inside(insulad, guest, "sh", "-c", f"cat {PORT} > {PORT} & sleep 0", check=True)
    every = bytes(range(256)) * 64
    with connected(path) as client:
        for _ in range(4):
            client.sendall(every)
            assert read_exactly(client, len(every)) == every


def test_the_live_definition_tells_who_has_it_and_where_it_is(insulad: Insulad, guest: str, path: Path) -> None:
    assert shown_state(insulad) == ["disconnected", "disconnected"]
    # In a subshell: who leads a session would be controlled by it, and hung up with it, as at any terminal.
    inside(insulad, guest, "sh", "-c", f"(exec sleep 1000 <>{PORT} >/dev/null 2>&1) & echo $! > /tmp/pid")
    until(lambda: shown_state(insulad) == ["connected", "disconnected"], "the first channel being connected")
    live = insulad.virsh("dumpxml", guest).stdout
    assert "<alias name='channel0'/>" in live and f"path='{path}'" in live
    own = re.findall(r"<source mode='bind' path='(.*?/channel1)'/>", live)
    assert len(own) == 1 and oct(os.stat(own[0]).st_mode)[-3:] == "600"
    inactive = insulad.virsh("dumpxml", guest, "--inactive").stdout
    assert "state=" not in inactive and "channel1" not in inactive and inactive.count("<channel") == 2
    inside(insulad, guest, "sh", "-c", "kill $(cat /tmp/pid)")
    until(lambda: shown_state(insulad) == ["disconnected", "disconnected"], "the channel being left")
    insulad.virsh("destroy", guest)
    assert not path.exists() and not os.path.exists(own[0])


def test_one_at_a_time_has_it_and_the_next_comes_after(insulad: Insulad, guest: str, path: Path) -> None:
    with connected(path), connected(path) as second:
        assert second.recv(1) == b""

    def free() -> bool:
        with connected(path) as third:
            inside(insulad, guest, "sh", "-c", f"printf x > {PORT}")
            return third.recv(1) == b"x"

    until(free, "the channel being free")


@pytest.mark.requires("libvirt-python")
def test_a_client_of_libvirt_opens_it_by_name_by_alias_and_by_force(insulad: Insulad, guest: str) -> None:
    import libvirt

    connection = insulad.connect()
    try:
        domain = connection.lookupByName(guest)
        streams = []
        for name, flags in ((NAME, 0), ("channel0", libvirt.VIR_DOMAIN_CHANNEL_FORCE), (None, 1)):
            streams.append(connection.newStream())
            domain.openChannel(name, streams[-1], flags)
        inside(insulad, guest, "sh", "-c", f"printf hello > {PORT}")
        assert streams[-1].recv(5) == b"hello"
        streams[-1].send(b"answer\n")
        assert inside(insulad, guest, "sh", "-c", f"head -n 1 {PORT}") == "answer\n"
        with pytest.raises(libvirt.libvirtError, match="somebody else took it over"):
            streams[0].recv(1)
        with pytest.raises(libvirt.libvirtError, match="active session exists"):
            domain.openChannel(NAME, connection.newStream(), 0)
        with pytest.raises(libvirt.libvirtError, match=r"cannot find channel 'org\.example\.9'"):
            domain.openChannel("org.example.9", connection.newStream(), 0)
        streams[-1].abort()
        insulad.virsh("destroy", guest)
        with pytest.raises(libvirt.libvirtError, match="not running"):
            domain.openChannel(NAME, connection.newStream(), 0)
    finally:
        connection.close()


def test_what_nobody_reads_holds_who_writes_and_costs_the_host_nothing(
    insulad: Insulad, guest: str, path: Path
) -> None:
    inside(insulad, guest, "sh", "-c", f"cat /dev/zero > {PORT} 2>/dev/null & echo $! > /tmp/flood")
    asleep = "grep -q '^State:.S' /proc/$(cat /tmp/flood)/status && echo asleep"
    until(lambda: "asleep" in inside(insulad, guest, "sh", "-c", asleep, check=False), "the flood being held")

    def memory() -> int:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{insulad.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    with connected(path) as client:
        before = memory()
        client.recv(1)  # and no more: what is on its way to this end is bounded
        until(lambda: "asleep" in inside(insulad, guest, "sh", "-c", asleep, check=False), "the flood being held again")
        assert memory() - before < 16 * 1024
        read_exactly(client, 4 * 1024 * 1024)
    assert state(insulad, guest) == "running"


def test_it_lives_through_deaths_of_the_daemon_and_of_the_keeper(insulad: Insulad, guest: str, path: Path) -> None:
    def echoed(word: bytes) -> None:
        with connected(path) as client:
            client.sendall(word + b"\n")
            assert inside(insulad, guest, "sh", "-c", f"head -n 1 {PORT}") == word.decode() + "\n"

    echoed(b"one")
    insulad.kill()
    insulad.start()
    until(lambda: insulad.log_text().count("everything is taken over") == 2, "the taking over")
    echoed(b"two")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, 9)
    until(lambda: insulad.keeper_pid() not in (None, keeper), "another keeper")
    echoed(b"three")


def test_a_place_that_takes_no_socket_is_told_and_the_stream_is_there(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    (scratch / "file").write_text("precious")
    insulad.define(domain_xml("bb", busybox_root, extra=channel_xml(path=scratch / "file")))
    insulad.virsh("start", "bb")
    assert (scratch / "file").read_text() == "precious"
    assert "has no socket at" in insulad.virsh("dominfo", "bb").stdout + insulad.log_text()
