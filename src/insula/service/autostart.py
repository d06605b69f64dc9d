"""Things with autostart are started once a boot of the host, as by libvirt's own drivers, not with every daemon."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from insula.kernel.durable import Durability, replace_file

LOGGER = logging.getLogger(__name__)

MARK = "autostarted"


class Named(Protocol):
    """What can be started with the host."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Autostart:
    """Remembers, in a file that holds the boot's id, that all of a noun were started.

    mark: the file, below /run; word: the noun. The id is compared, not only looked for: a prefix may lie on a disk.
    """

    def __init__(self, mark: Path, boot_id: str, *, word: str) -> None:
        self._mark = mark
        self._underway = mark.with_name(f"{mark.name}.underway")
        """Whose start was attempted in a boot that is not done: its id, and a name a line."""
        self._noted: set[str] = set()
        self._boot_id = boot_id
        self._word = word

    async def start(self, things: Iterable[T], start: Callable[[T], Awaitable[object]]) -> None:
        """Start things, one after another; one that fails is named in the log.

        Once in a boot: what was stopped since stays off when a daemon follows another.
        """
        if not self.is_due:
            return
        for each in things:
            try:
                await start(each)
            except Exception as error:  # whatever it was, the others are to start
                LOGGER.error("%s '%s' should start with the host: %s", self._word, each.name, error)
        self.done()

    @property
    def is_due(self) -> bool:
        """Whether no daemon has gone through them in this boot.

        A mark that is there and cannot be read is taken for this boot's: what somebody has stopped must not be started.
        """
        try:
            return self._mark.read_text() != self._boot_id
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return True
        except OSError as error:
            LOGGER.error("whether each %s with autostart was started in this boot is not known: %s", self._word, error)
            return False

    def attempted(self) -> frozenset[str]:
        """Return what an earlier daemon of this boot has noted, which did not come to the end."""
        try:
            boot, *names = self._underway.read_text().splitlines()
        except (OSError, ValueError):
            return frozenset()
        self._noted.update(names if boot == self._boot_id else ())
        return frozenset(self._noted)

    def note(self, name: str) -> None:
        """Keep for the next daemon of this boot that a start was attempted: what is stopped then stays off."""
        self._noted.add(name)
        lines = [self._boot_id, *sorted(self._noted), ""]
        with suppress(OSError):  # then the next daemon starts it again, if it does not run
            self._mark.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(self._underway, "\n".join(lines).encode(), Durability.PROCESS_DEATH)

    def done(self) -> None:
        """No daemon of this boot starts them again."""
        try:
            self._mark.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(self._mark, self._boot_id.encode(), Durability.PROCESS_DEATH)
            self._underway.unlink(missing_ok=True)
        except OSError as error:
            LOGGER.error("the next daemon will start each %s with autostart again: %s", self._word, error)
