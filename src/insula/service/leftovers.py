"""What could not be taken away when it should have been: tried again until it is gone, and in nobody's way meanwhile.

The record of a run stays as long as something of it may be left, so that the next daemon goes on where this one ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from insula.errors import OperationFailedError

LOGGER = logging.getLogger(__name__)

PAUSES = (0.0, 0.2, 1.0, 5.0, 20.0, 60.0)
"""Seconds before each attempt; the last one is repeated."""
PATIENCE = 15.0
"""Seconds that a start waits for what an earlier one left."""

Work = Callable[[], Awaitable[None]]


@dataclass(kw_only=True, slots=True, eq=False)
class Leftover:
    """work: takes it away, and may be called again; hurry: somebody waits; attempted: it was tried once; error: of the
    last attempt."""

    name: str
    work: Work
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    attempted: asyncio.Event = field(default_factory=asyncio.Event)
    error: BaseException | None = None
    task: asyncio.Task[None] | None = None


class Leftovers:
    """One for each domain at most."""

    def __init__(self) -> None:
        self._by_uuid: dict[UUID, Leftover] = {}

    def __contains__(self, uuid: UUID) -> bool:
        return uuid in self._by_uuid

    def clear(self, uuid: UUID, name: str, work: Work, *, soon: bool = True) -> Leftover:
        """Take something away beside everything else, and go on trying. soon: the first time at once."""
        leftover = Leftover(name=name, work=work)
        self._by_uuid[uuid] = leftover
        leftover.task = asyncio.create_task(self._clear(uuid, leftover, soon), name=f"clear up after {name}")
        return leftover

    async def settle(self, uuid: UUID, patience: float = PATIENCE) -> None:
        """Return once nothing is left of a domain. Raises: OperationFailedError if it does not go."""
        leftover = self._by_uuid.get(uuid)
        if leftover is None or leftover.task is None:
            return
        leftover.hurry.set()
        await asyncio.wait([leftover.task], timeout=patience)
        if uuid in self._by_uuid:
            raise OperationFailedError(
                f"something of an earlier run of domain '{leftover.name}' cannot be removed yet: "
                f"{leftover.error or 'it takes its time'}"
            )

    async def close(self) -> None:
        """Give up: records stay for the next daemon."""
        tasks = [each.task for each in self._by_uuid.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _clear(self, uuid: UUID, leftover: Leftover, soon: bool) -> None:
        attempt = 0 if soon else 1
        while True:
            pause = PAUSES[min(attempt, len(PAUSES) - 1)]
            if pause:
                try:
                    async with asyncio.timeout(pause):
                        await leftover.hurry.wait()
                except TimeoutError:
                    pass
                leftover.hurry.clear()
            try:
                await leftover.work()
            except Exception as error:  # whatever it was: what is left must not be forgotten
                if leftover.error is None:
                    LOGGER.error("something of domain '%s' stays behind, and is tried again: %s", leftover.name, error)
                leftover.error = error
                attempt += 1
            else:
                self._by_uuid.pop(uuid, None)
                return
            finally:
                leftover.attempted.set()
