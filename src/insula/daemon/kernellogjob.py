"""A guest's kernel log as a stream: the records that its view keeps, and, if it is followed, whatever comes."""

import asyncio
import os
from collections.abc import Callable
from functools import partial

from insula.daemon.serverstreams import ServerStream, StreamJob
from insula.engine.console.consolehistory import LogSelection, stamp
from insula.engine.threads import in_own_thread
from insula.kernel.fds import Fd
from insula.rpc.frames import STREAM_DATA_MAX
from insula.view.keptlog import KeptLine, KeptLog

LOOK_AGAIN = 0.5
"""Seconds from one look at a log that is followed to the next."""


def kernel_log_job(
    memory: Fd, boottime: int, wanted: LogSelection, *, goes_on: Callable[[], bool] | None = None
) -> StreamJob:
    """Return what serves a log. memory: of the guest's view; it is duplicated. boottime: what its clock is ahead of the
    host's, in seconds; goes_on: whether there may be more, None if what there is is all that is wanted.

    Raises: OSError.
    """
    own = os.dup(memory)
    log = KeptLog(own, boottime)

    async def serve(stream: ServerStream) -> None:
        there = await in_own_thread(log.lines)
        following = there[-1].sequence + 1 if there else 0
        await _send(stream, _selected(there, wanted), stamped=wanted.stamped)
        while goes_on is not None and goes_on():
            await asyncio.sleep(LOOK_AGAIN)
            more = await in_own_thread(partial(log.lines, following))
            following = more[-1].sequence + 1 if more else following
            await _send(stream, more, stamped=wanted.stamped)

    return StreamJob(serve=serve, release=lambda: os.close(own))


def _selected(lines: list[KeptLine], wanted: LogSelection) -> list[KeptLine]:
    """Return those that were said since a moment, of these the last so many."""
    if wanted.since is not None:
        lines = [each for each in lines if each.moment * 1000 >= wanted.since]
    return lines if wanted.lines is None else lines[len(lines) - min(wanted.lines, len(lines)) :]


async def _send(stream: ServerStream, lines: list[KeptLine], *, stamped: bool) -> None:
    texts = [(stamp(round(each.moment * 1000)) + b" " if stamped else b"") + each.text for each in lines]
    data = b"".join(texts)
    for position in range(0, len(data), STREAM_DATA_MAX):
        await stream.send(data[position : position + STREAM_DATA_MAX])
