"""A console's log as a stream: what is wanted of its files, and, if it is followed, whatever comes."""

import asyncio
from contextlib import suppress

from insula.daemon.serverstreams import ServerStream, StreamJob
from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.console.consolehistory import ConsoleHistory, LogSelection
from insula.engine.threads import in_own_thread
from insula.rpc.frames import STREAM_DATA_MAX
from insula.service.consoles import ConsoleVerbs
from insula.service.managed import ManagedDomain

_LOOK_AGAIN = 0.25
"""Seconds after which is read what a guest that never pauses has printed meanwhile."""


def log_job(
    consoles: ConsoleVerbs, domain: ManagedDomain, device: str | None, wanted: LogSelection, *, follow: bool
) -> StreamJob:
    """Return what serves a log. follow: as long as the domain runs; one that is off has only its files.

    Raises: DeviceMissingError if it has no such console.
    """
    history = ConsoleHistory(consoles.log(domain, device), wanted)
    if not follow or not domain.is_active:
        return _history_job(history)
    if wanted == LogSelection():
        return _channel_job(consoles.open(domain, device, viewing=Viewing.WATCHING))
    return _following_job(history, consoles.follow(domain, device))


def _history_job(history: ConsoleHistory) -> StreamJob:
    async def serve(stream: ServerStream) -> None:
        await _send_present(history, stream)

    return StreamJob(serve=serve, release=history.close)


def _channel_job(channel: ConsoleChannel) -> StreamJob:
    """What was printed lately and what is printed now, from memory: no disk is asked."""

    async def serve(stream: ServerStream) -> None:
        while data := await channel.read(STREAM_DATA_MAX):
            await stream.send(data)

    return StreamJob(serve=serve, release=channel.close)


def _following_job(history: ConsoleHistory, channel: ConsoleChannel) -> StreamJob:
    """What was said before, and the times, stand in the log, so that is read; the channel tells that there is more.

    What no disk takes is sent as the channel has it.
    """

    async def serve(stream: ServerStream) -> None:
        more, unsaved = b"-", b""
        while True:
            log = channel.log
            settled = log is None or not log.writing
            await _send_present(history, stream)
            if log is not None and not settled:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await log.written()
                continue
            if unsaved and log is not None and log.failing:
                await stream.send(unsaved)
            if not more:
                return
            more = unsaved = await channel.read(STREAM_DATA_MAX)

    def release() -> None:
        channel.close()
        history.close()

    return StreamJob(serve=serve, release=release)


async def _send_present(history: ConsoleHistory, stream: ServerStream) -> None:
    while data := await in_own_thread(history.read):
        for position in range(0, len(data), STREAM_DATA_MAX):
            await stream.send(data[position : position + STREAM_DATA_MAX])
