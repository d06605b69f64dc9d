"""Sockets at which channels are offered: for root alone, one client at a time, and gone with the guest."""

import asyncio
import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from insula.engine.console.guestchannel import GuestChannel
from insula.errors import OperationFailedError, OperationInvalidError
from insula.service import channelhosts
from insula.service.channelhosts import bound
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


def xml(path: Path) -> str:
    channel = f"<channel type='unix'><source mode='bind' path='{path}'/><target type='virtio' name='a'/></channel>"
    return domain_xml().replace("<devices>", f"<devices>{channel}")


async def test_who_connects_has_the_channel_until_it_leaves(rig: Rig, tmp_path: Path) -> None:
    rig.preparation.consoles = 1
    path = tmp_path / "s"
    ref = await rig.domains.create_xml(xml(path))
    terminal = rig.guest().terminals[1]
    assert path.stat().st_mode & 0o777 == 0o600
    async with asyncio.timeout(patience(30)):
        reader, writer = await asyncio.open_unix_connection(path)
        os.write(terminal, b"hello")
        assert await reader.readexactly(5) == b"hello"
        other, closing = await asyncio.open_unix_connection(path)
        assert await other.read() == b""
        closing.close()
        writer.close()
        (opened,) = rig.domains.of(ref).require_run().channels
        await until(lambda: not opened.line.taken)
        reader, writer = await asyncio.open_unix_connection(path)
        await until(lambda: opened.line.taken)
        await rig.domains.destroy(ref)
        assert await reader.read() == b""
        writer.close()
    assert not path.exists()


async def test_a_socket_that_a_killed_daemon_left_makes_room_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bound(path).close()
    with bound(path), pytest.raises(OSError, match="in use"):
        bound(path)  # who listens keeps it, be it the host's own bus
    path.unlink()
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bound(path)
    assert path.read_text() == "precious"
    with pytest.raises(OSError, match="too long"):
        bound(tmp_path / ("x" * 120))


async def test_a_run_without_a_socket_says_so(rig: Rig, tmp_path: Path) -> None:
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(xml(tmp_path / "nowhere" / "s"))
    assert [each for each in rig.domains.messages(ref) if "the channel 'a' has no socket at" in each]


async def test_a_run_whose_second_channel_cannot_be_made_leaves_neither_socket_nor_descriptor(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.preparation.consoles = 1
    other = f"<channel type='unix'><source mode='bind' path='{tmp_path}/b'/><target type='virtio' name='b'/></channel>"
    lines: list[GuestChannel] = []

    def made(*arguments: Any, **named: Any) -> GuestChannel:
        if lines:
            raise OSError(errno.ENOSPC, "no more of these")
        lines.append(GuestChannel(*arguments, **named))
        return lines[0]

    monkeypatch.setattr(channelhosts, "GuestChannel", made)
    with pytest.raises(OSError, match="no more of these"):
        await rig.domains.create_xml(xml(tmp_path / "a").replace("<devices>", f"<devices>{other}", 1))
    assert not {"a", "b"}.intersection(os.listdir(tmp_path))
    with pytest.raises(OperationInvalidError, match="has ended"):
        lines[0].attach()


async def test_a_disk_that_does_not_answer_holds_one_domain_alone(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done at a path that a definition gives is done beside the loop."""
    rig.preparation.consoles = 1
    real, loop, threads = channelhosts.bound, threading.current_thread(), list[threading.Thread]()

    def slow(path: Path) -> socket.socket:
        threads.append(threading.current_thread())
        return real(path)

    def removed(path: Path, made: object) -> None:
        threads.append(threading.current_thread())
        path.unlink()

    monkeypatch.setattr(channelhosts, "bound", slow)
    monkeypatch.setattr(channelhosts, "remove_own", removed)
    ref = await rig.domains.create_xml(xml(tmp_path / "s"))
    await rig.domains.destroy(ref)
    assert len(threads) == 2 and loop not in threads
    assert not (tmp_path / "s").exists()


async def test_a_start_that_fails_leaves_no_socket(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.preparation.consoles = 1

    async def fails(*_: object, **__: object) -> None:
        assert (tmp_path / "s").is_socket(), "who connects before the guest runs waits"
        raise OperationFailedError("no guest")

    monkeypatch.setattr(rig.engine, "launch", fails)
    with pytest.raises(OperationFailedError, match="no guest"):
        await rig.domains.create_xml(xml(tmp_path / "s"))
    assert not (tmp_path / "s").exists()
