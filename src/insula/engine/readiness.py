"""Waiting on the event loop for a descriptor."""

import asyncio


async def until_readable(fd: int) -> None:
    """Return once something can be read from fd, or whoever is behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(fd, tell)
    try:
        await readable
    finally:
        loop.remove_reader(fd)
