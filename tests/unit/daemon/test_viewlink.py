"""The daemon's side of the machine view, with views that a test plays."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from insula.daemon import viewlink
from insula.daemon.viewlink import ViewSupervisor
from insula.engine.machineviews import DEVICE, MEMORY
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd
from insula.view.viewprotocol import ViewMessage, receive_words, send_words
from tests.descriptors import open_fds
from tests.viewtrees import viewed_guest
from tests.waiting import patience, until


class Views:
    """Each view is our end of a socket; the newest is the last."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []
        self.failures = 0
        self.link = ViewSupervisor(self.obtain)
        self.null = Fd(os.open(os.devnull, os.O_RDONLY))

    def obtain(self) -> socket.socket:
        if self.failures:
            self.failures -= 1
            raise OperationFailedError("not yet")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.ends.append(ours)
        return theirs

    def show(self, launch: str) -> None:
        self.link.show(viewed_guest(launch), {DEVICE: self.null, MEMORY: self.null})

    async def heard(self, number: int = -1) -> dict[str, Any]:
        """Return the next message to a view, but for pings."""
        async with asyncio.timeout(patience(20)):
            while True:
                try:
                    message = receive_words(self.ends[number])
                except (BlockingIOError, IndexError):
                    await asyncio.sleep(0.01)
                    continue
                assert isinstance(message, ViewMessage)
                body = {**message.body, "fds": len(message.fds)}
                message.close()
                if body["verb"] != "ping":
                    return body

    def answer(self, request: int, **body: object) -> None:
        send_words(self.ends[-1], {"answer": request, **body})


@pytest_asyncio.fixture
async def views() -> AsyncIterator[Views]:
    before = open_fds()
    made = Views()
    yield made
    await made.link.close()
    os.close(made.null)

    def closed() -> bool:
        for each in made.ends:  # one may come from a thread that was on its way
            each.close()
        return open_fds() == before

    until(closed, "all descriptors being closed")


pytestmark = pytest.mark.asyncio


async def test_a_guest_is_shown_once_a_view_is_there(views: Views) -> None:
    views.show("one")
    said = await views.heard()
    assert (said["verb"], said["guest"]["launch"], said["fds"]) == ("show", "one", 2)
    views.show("two")
    assert (await views.heard())["guest"]["launch"] == "two"
    assert views.link.serves("one")
    assert not views.link.serves(None)


async def test_the_next_view_is_told_of_all_guests(views: Views) -> None:
    views.show("one")
    views.show("two")
    await views.heard()
    await views.heard()
    views.ends[-1].close()
    told = {(await views.heard(1))["guest"]["launch"], (await views.heard(1))["guest"]["launch"]}
    assert told == {"one", "two"}
    assert views.link.restarts == 1


async def test_a_forgotten_guest_is_hidden_and_shown_no_more(views: Views) -> None:
    views.show("one")
    await views.heard()
    views.link.forget("one")
    assert (await views.heard())["verb"] == "hide"
    views.link.forget("one")
    views.ends[-1].close()
    await asyncio.sleep(0.05)
    assert len(views.ends) == 1, "nobody needs another"


async def test_a_view_that_does_not_start_is_tried_again(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewlink, "_PAUSES", (0.0, 0.01))
    views.failures = 3
    views.show("one")
    assert (await views.heard())["verb"] == "show"


async def test_a_file_is_read_through_the_view(views: Views) -> None:
    views.show("one")
    await views.heard()
    reading = asyncio.ensure_future(views.link.read("one", "proc/loadavg"))
    asked = await views.heard()
    assert (asked["verb"], asked["launch"], asked["path"]) == ("read", "one", "proc/loadavg")
    views.answer(asked["request"], content="0.00\n")
    assert await reading == "0.00\n"
    refused = asyncio.ensure_future(views.link.read("one", "x"))
    views.answer((await views.heard())["request"], error="no such file")
    with pytest.raises(OperationFailedError, match="no such file"):
        await refused


async def test_who_waits_for_a_view_that_dies_is_told(views: Views) -> None:
    with pytest.raises(OperationFailedError, match="no machine view"):
        await views.link.read("one", "x")
    views.show("one")
    await views.heard()
    reading = asyncio.ensure_future(views.link.read("one", "x"))
    await views.heard()
    views.ends[-1].close()
    with pytest.raises(OperationFailedError, match="gone"):
        await reading


async def test_a_silent_view_is_killed_and_replaced(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewlink, "_PING_EVERY", 0.02)
    monkeypatch.setattr(viewlink, "_SILENCE", 0.05)
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: killed.append(pid))
    views.show("one")
    assert (await views.heard(0))["verb"] == "show"
    assert (await views.heard(1))["verb"] == "show"
    assert killed[0] == os.getpid()


async def test_a_view_that_is_not_needed_is_told_to_end(views: Views) -> None:
    views.link.prepare(wanted=False)
    await asyncio.sleep(0)
    assert views.ends == []
    views.link.prepare(wanted=True)
    assert views.link._starting is not None
    await views.link._starting
    closing = asyncio.ensure_future(views.link.close(quit_view=True))
    asked = await views.heard()
    assert asked["verb"] == "quit"
    views.answer(asked["request"])
    await closing
