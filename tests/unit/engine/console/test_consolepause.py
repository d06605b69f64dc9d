"""Viewers of a console between two runs: what they have, type and see."""

import os

import pytest

from insula.engine.console.consolechannel import Viewing
from insula.engine.console.consolepause import ConsolePause
from insula.errors import OperationAbortedError, OperationFailedError
from tests.unit.engine.consoleline import line, read_until

pytestmark = pytest.mark.asyncio


async def test_viewers_read_the_rest_of_the_former_run_and_then_the_next() -> None:
    async with line() as former, line() as following:
        viewer = former.hub.attach()
        former.print(b"going down\n")
        pause = ConsolePause(former.hub)
        await former.hub.finish()
        await viewer.write(b"too early")
        viewer.resize(40, 100)
        assert viewer.log is None
        pause.go_on(following.hub)
        following.print(b"login: ")
        assert await read_until(viewer, b"login: ") == b"going down\nlogin: "
        await viewer.write(b"now")
        assert os.read(following.slave, 100) == b"now"
        assert os.get_terminal_size(following.slave) == (100, 40)
        with pytest.raises(OperationFailedError, match="an active session exists"):
            following.hub.attach()


async def test_who_leaves_meanwhile_is_not_given_to_the_next_run() -> None:
    async with line() as former, line() as following:
        viewer = former.hub.attach()
        pause = ConsolePause(former.hub)
        viewer.close()
        pause.go_on(following.hub)
        following.hub.attach().close()
        assert await viewer.read() == b""


async def test_viewers_see_the_end_if_nothing_follows() -> None:
    async with line() as former:
        viewer, watcher = former.hub.attach(), former.hub.attach(Viewing.WATCHING)
        pause = ConsolePause(former.hub)
        pause.end()
        assert (await viewer.read(), await watcher.read()) == (b"", b"")
        with pytest.raises(OperationAbortedError):
            await viewer.write(b"root")
