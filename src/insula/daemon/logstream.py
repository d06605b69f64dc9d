"""A console's log as a stream: the files from the oldest on, or the newest part and whatever follows."""

import os
from functools import partial
from pathlib import Path

from insula.daemon.serverstreams import ServerStream, StreamJob
from insula.engine.console.consolechannel import Viewing, last_lines
from insula.engine.threads import in_own_thread
from insula.rpc.frames import STREAM_DATA_MAX
from insula.service.consoles import ConsoleVerbs
from insula.service.managed import ManagedDomain


def log_job(
    consoles: ConsoleVerbs, domain: ManagedDomain, device: str | None, *, follow: bool, lines: int | None = None
) -> StreamJob:
    """Return what serves a log. follow: as long as the domain runs; one that is off has only its files.

    lines: of what is there, begin with so many, None for all of it.

    Raises: InvalidArgumentError if it has no such console.
    """
    path = consoles.log(domain, device)
    if not follow or not domain.is_active:
        return _files_job(path) if lines is None else _tail_job(path, lines)
    channel = consoles.open(domain, device, viewing=Viewing.WATCHING)
    if lines is not None:
        channel.begin_with(lines)

    async def serve(stream: ServerStream) -> None:
        while data := await channel.read(STREAM_DATA_MAX):
            await stream.send(data)

    return StreamJob(serve=serve, release=channel.close)


def _files_job(path: Path) -> StreamJob:
    async def serve(stream: ServerStream) -> None:
        for each in await in_own_thread(partial(_rotated, path)):
            position = 0
            while data := await in_own_thread(partial(_part, each, position)):
                await stream.send(data)
                position += len(data)

    return StreamJob(serve=serve)


def _tail_job(path: Path, lines: int) -> StreamJob:
    async def serve(stream: ServerStream) -> None:
        data = await in_own_thread(partial(_tail, path, lines))
        for position in range(0, len(data), STREAM_DATA_MAX):
            await stream.send(data[position : position + STREAM_DATA_MAX])

    return StreamJob(serve=serve)


def _tail(path: Path, lines: int) -> bytes:
    """The last lines of the log's files together, which are small: see ConsoleLog."""
    found = b""
    for each in reversed(_rotated(path)):
        pieces, position = [], 0
        while data := _part(each, position):
            pieces.append(data)
            position += len(data)
        found = b"".join(pieces) + found
        if found.count(b"\n") > lines:
            break
    return last_lines(found, lines)


def _rotated(path: Path) -> list[Path]:
    """The log's files, oldest first. Like each read, in a thread of its own: the disk may never answer."""
    older = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdecimal()]
    return [*sorted(older, key=lambda each: -int(each.suffix[1:])), path]


def _part(path: Path, position: int) -> bytes:
    """The bytes from position on, one packet's worth; none at the end, or when the file has gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, STREAM_DATA_MAX, position)
    finally:
        os.close(descriptor)
