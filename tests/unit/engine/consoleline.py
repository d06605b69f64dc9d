"""A console's hub on a real pty, and the guest's side of it; what tests of consoles do with both."""

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel
from insula.engine.console.consolelog import ConsoleLog
from insula.engine.console.consolering import ConsoleRing, kept
from insula.engine.console.hostterminal import open_host_terminal
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.tokenbucket import TokenBucket
from insula.kernel.fds import Fd
from insula.kernel.pty import path_in_devpts
from tests.waiting import patience


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A hub, and the guest's side of its terminal in raw mode."""

    hub: ConsoleHub
    slave: int
    terminal: str = ""
    """The path of the host's terminal that shows it, if one does."""
    told: list[str] = field(default_factory=list)

    def print(self, data: bytes) -> None:
        os.write(self.slave, data)


@asynccontextmanager
async def line(
    *,
    log: Path | None = None,
    ring: Path | None = None,
    resumed: bool = False,
    missed: bytes = b"",
    patience: float = 10.0,
    shown: bool = False,
    allowance: TokenBucket | None = None,
    looks: TokenBucket | None = None,
) -> AsyncIterator[Line]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    logs = [] if log is None else [ConsoleLog(log)]
    said = kept(ring) if resumed and ring is not None else None
    for each in logs if said is not None else ():
        each.catch_up(said or b"")
    host = open_host_terminal() if shown else None
    told: list[str] = []
    hub = ConsoleHub(
        Fd(master),
        watch=TerminalWatch(),
        host=host,
        logs=logs,
        ring=ConsoleRing(ring, said or b""),
        missed=missed,
        patience=patience,
        allowance=allowance or TokenBucket(float("inf"), float("inf")),
        looks=looks or TokenBucket(float("inf"), float("inf")),
        tell=told.append,
    )
    try:
        yield Line(hub=hub, slave=slave, terminal="" if host is None else path_in_devpts(host), told=told)
    finally:
        await hub.finish()
        with suppress(OSError):
            os.close(slave)


async def read_until(channel: ConsoleChannel, text: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(patience(20)):
        while text not in seen:
            data = await channel.read()
            assert data, f"the console ended after {seen!r}"
            seen += data
    return seen


async def read_exactly(channel: ConsoleChannel, count: int) -> bytes:
    seen = bytearray()
    async with asyncio.timeout(patience(60)):
        while len(seen) < count:
            data = await channel.read()
            assert data, f"the console ended after {len(seen)} bytes"
            seen += data
    return bytes(seen)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience(20)):
        while not condition():  # noqa: ASYNC110 (the guest's side has no event to wait for)
            await asyncio.sleep(0.01)


async def writer_ends(writer: "asyncio.Task[int]") -> None:
    """The guest's end hangs up, and whoever prints there is told."""
    with suppress(OSError):
        async with asyncio.timeout(patience(20)):
            await writer


def print_all(descriptor: int, data: bytes) -> int:
    """Write all of data to the terminal (thread); return how many bytes that were."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:65536]) :]
    return len(data)
