"""Changes of definitions on the disk, made beside the loop, and told in libvirt's words: for any noun."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError
from insula.kernel.durable import Commit
from insula.service.definitions import Definable, Definitions

LOGGER = logging.getLogger(__name__)

N = TypeVar("N", bound=Definable)


class Noticing(Protocol):
    """A managed thing that has a definition."""

    @property
    def name(self) -> str: ...

    def notice(self, text: str) -> None:
        """Tell the administrator something about it, once."""


class DefinitionChanges(Generic[N]):
    """Saves and removes definitions of things that are called word. Callers hold the thing's lock.

    A change that only a loss of power could undo has happened, and is noticed.
    Raises, all of them: OperationFailedError, and nothing has changed.
    """

    def __init__(self, word: str, definitions: Definitions[N]) -> None:
        self._word = word
        self._definitions = definitions

    async def save(self, thing: Noticing, config: N, *, beside: Callable[[], None] | None = None) -> None:
        """Take config as what is defined.

        beside: what is to be done as well, in another thread while this one waits for the disk. It raises nothing, and
        is done when this returns or raises.
        """
        done = None if beside is None else asyncio.ensure_future(in_own_thread(beside))
        try:
            what = f"save the definition of {self._word} '{config.name}'"
            await self._commit(thing, partial(self._definitions.save, config), what)
        finally:
            if done is not None:
                await done

    async def remove(self, thing: Noticing) -> None:
        """Forget what is defined."""
        await self._commit(thing, lambda: self._definitions.remove(thing.name), f"forget {self._word} '{thing.name}'")

    async def rename(self, thing: Noticing, config: N, *, autostart: bool, autostart_once: bool = False) -> None:
        """Keep what is defined as config, which has another name."""
        what = f"rename {self._word} '{thing.name}' to '{config.name}'"
        renamed = partial(self._definitions.rename, thing.name, config)
        await self._commit(thing, partial(renamed, autostart=autostart, autostart_once=autostart_once), what)

    async def set_autostart(self, thing: Noticing, *, on: bool, once: bool = False) -> None:
        """Let the thing start with the host, or not; once: with its next start only."""
        what = f"change whether {self._word} '{thing.name}' starts with the host"
        await self._commit(thing, lambda: self._definitions.set_autostart(thing.name, on=on, once=once), what)

    async def _commit(self, thing: Noticing, work: Callable[[], Commit], what: str) -> None:
        try:
            commit = await in_own_thread(work)
        except OSError as error:
            raise OperationFailedError(f"cannot {what}: {error}") from error
        if commit.unsynced is not None:
            LOGGER.error("it was possible to %s, but %s", what, commit)
            thing.notice(f"what was written to the disk last is not safe there: {commit}")
