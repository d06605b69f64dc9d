"""What is typed reaches the guest in order, waits for it, and not for ever."""

import asyncio
import os

import pytest

from insula.engine.console.consolechannel import ConsoleChannel
from insula.engine.console.consoleinput import INPUT_BOUND
from tests.unit.engine.consoleline import line
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_the_guest_reads_what_the_viewer_types() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        await viewer.write(b"ls\r")
        assert os.read(console.slave, 100) == b"ls\r"


async def test_typing_waits_for_a_guest_that_reads_slowly() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        typed = os.urandom(INPUT_BOUND * 3)
        writing = asyncio.create_task(_type_in_pieces(viewer, typed))
        received = bytearray()
        while len(received) < len(typed):
            received += await asyncio.to_thread(os.read, console.slave, 1024)
        await writing
        assert bytes(received) == typed


async def test_typing_to_a_guest_that_never_reads_ends_by_dropping() -> None:
    async with line(patience=0.1) as console:
        viewer = console.hub.attach()
        async with asyncio.timeout(patience(20)):
            await _type_in_pieces(viewer, bytes(INPUT_BOUND * 3))


async def _type_in_pieces(viewer: ConsoleChannel, data: bytes) -> None:
    for start in range(0, len(data), 4096):
        await viewer.write(data[start : start + 4096])
