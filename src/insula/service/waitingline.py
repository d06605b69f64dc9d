"""Some at a time, in the order they came, unless somebody waits for one of them."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class WaitingLine:
    """Lets width domains have their turn at the same time."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._waiting: OrderedDict[UUID, asyncio.Future[None]] = OrderedDict()
        self._hurried: set[UUID] = set()

    @asynccontextmanager
    async def turn(self, uuid: UUID) -> AsyncIterator[None]:
        """Wait for a domain's turn; it lasts for the block."""
        if self._free:
            self._free -= 1
        else:
            future = self._waiting[uuid] = asyncio.get_running_loop().create_future()
            try:
                await future
            except asyncio.CancelledError:
                if future.cancelled():
                    self._waiting.pop(uuid, None)
                else:  # it was our turn just now
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def hurry(self, uuid: UUID) -> None:
        """Let a domain's turn be the next, if it waits for it."""
        if uuid in self._waiting:
            self._hurried.add(uuid)
            self._waiting.move_to_end(uuid, last=False)

    def close(self) -> None:
        """Cancel whoever waits and nobody hurries; those whose turn it is, or for whom somebody waits, go on."""
        for uuid, future in self._waiting.items():
            if uuid not in self._hurried:
                future.cancel()

    def _next(self) -> None:
        while self._waiting:
            uuid, future = self._waiting.popitem(last=False)
            self._hurried.discard(uuid)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
