"""Who reads the consoles of a run: made with it, at once, since a guest must never wait for somebody to look."""

import asyncio
import errno
import glob
import logging
import re
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolelog import ConsoleLog, LogLimits
from insula.engine.console.consolering import ConsoleRing, kept
from insula.engine.console.hostterminal import open_host_terminal
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.launch.runningcontainer import Running
from insula.engine.writers import Writers
from insula.errors import InsulaError
from insula.kernel.pty import free_terminals
from insula.model.devices import ConsoleLogFile as DefinedLog
from insula.model.scalars import OnOff
from insula.service.containers import ContainerEngine
from insula.service.managed import ManagedDomain
from insula.service.rundirectory import RunDirectory
from insula.service.unread import Description, UnreadDefinition

LOGGER = logging.getLogger(__name__)

LEFT_TO_GUESTS = 512
"""Terminals of the host that are not taken to show consoles: no guest starts without one of its own."""
KEEP_DELAY = 0.02
"""Seconds after a start when its terminals go to the keeper."""
_LOG_THREADS = 2
_DEFINED_LOG_THREADS = 4
"""Of their own, since a definition can name a disk that never answers."""

_LOG_NAME = re.compile(r"\.console\d+\.log(\.\d+)?(\.times)?")

Tell = Callable[[str], None]


class ConsoleReaders:
    """Makes the readers. directory: where what was printed last is kept; logs: where logs are; limits: of all logs."""

    def __init__(self, *, engine: ContainerEngine, directory: RunDirectory, logs: Path, limits: LogLimits) -> None:
        self._engine = engine
        self._directory = directory
        self._logs = logs
        self._limits = limits
        self._watch = TerminalWatch()
        self._writers = Writers("console log", _LOG_THREADS)
        self._defined_writers = Writers("defined console log", _DEFINED_LOG_THREADS)
        self._tasks: set[asyncio.Task[None]] = set()

    def log(self, name: str, place: int) -> Path:
        """Return the file that gets a copy of what a console prints, whatever else its definition names."""
        return self._logs / f"{name}.console{place}.log"

    def move_logs(self, former: str, name: str) -> None:
        """Let what a domain's consoles said be found by its new name; waits for the disk."""
        for path in self._logs.glob(f"{glob.escape(former)}.console*"):
            rest = path.name.removeprefix(former)
            if _LOG_NAME.fullmatch(rest):
                try:
                    path.replace(path.with_name(f"{name}{rest}"))
                except OSError as error:
                    LOGGER.warning("the console log '%s' keeps its former name: %s", path, error)

    def show(self, container: Running, consoles: int) -> str | None:
        """Show so many consoles at terminals of the host; return what keeps one from that, None if nothing does.

        The keeper keeps the terminals too, soon: for the next daemon their paths are the same.
        """
        lacking = [place for place in range(consoles) if place not in container.shown]
        failure = None
        for place in lacking:
            try:
                if free_terminals() <= LEFT_TO_GUESTS:
                    raise OSError(errno.ENOSPC, "the host has few left, see kernel.pty.max")
                container.shown[place] = open_host_terminal()
            except OSError as error:
                failure = f"no terminal of the host shows console{place}, and it has no tty: {error.strerror}"
                break
        if (lacking and container.shown) or container.notices >= 0:  # not now: a start waits for its answer
            self._later(self._keep(container))
        return failure

    def begin(
        self, managed: ManagedDomain, domain: Description, container: Running, *, found_again: bool
    ) -> tuple[ConsoleHub, ...]:
        """Return a reader for each console, whose descriptors are the reader's from now on.

        found_again: another daemon read them before, and left what they printed last.
        """

        def tell(text: str) -> None:
            LOGGER.warning("domain '%s': %s", domain.name, text)
            managed.notices = (*managed.notices, text)

        with ExitStack() as back:
            hubs = []
            for place in range(container.console_count):
                hubs.append(self._reader(domain, container, place, tell, found_again=found_again))
                back.callback(hubs[-1].let_go)
            back.pop_all()
        container.lent = True
        return tuple(hubs)

    def _reader(
        self, domain: Description, container: Running, place: int, tell: Tell, *, found_again: bool
    ) -> ConsoleHub:
        path = self._directory.console(domain.uuid, place)
        said = kept(path) if found_again else None
        ring = ConsoleRing(path, said or b"")
        logs = self._logs_of(domain, place, tell, fresh=not found_again)
        for each in logs if said is not None else ():
            each.catch_up(said or b"")
        if found_again and said is None:
            logs[0].look_back(ring.begin_with)
        return ConsoleHub(
            container.consoles[place],
            watch=self._watch,
            host=container.shown.get(place),
            logs=logs,
            ring=ring,
            name=f"{domain.name} console{place}",
            missed=container.said[place] if place < len(container.said) else b"",
            tell=tell,
        )

    def _logs_of(self, domain: Description, place: int, tell: Tell, *, fresh: bool) -> list[ConsoleLog]:
        own = self.log(domain.name, place)
        logs = [ConsoleLog(own, writers=self._writers, timed=True, limits=self._limits, tell=tell)]
        defined = _defined_log(domain, place)
        if defined is not None:
            file = Path(defined.file)
            logs.append(ConsoleLog(file, writers=self._defined_writers, given=True, limits=self._limits, tell=tell))
            if defined.append is OnOff.OFF and fresh:
                logs[-1].truncate()
        return logs

    async def _keep(self, container: Running) -> None:
        await asyncio.sleep(KEEP_DELAY)
        if not container.shown:  # it has ended
            return
        try:
            await self._engine.succession.keep(container)
        except InsulaError as error:
            LOGGER.info("the terminals of %s are not kept for the next daemon: %s", container.name, error)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="consoles")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _defined_log(domain: Description, place: int) -> DefinedLog | None:
    """A domain without any console is given one. Most define no log, and need not be read to find that out."""
    if isinstance(domain, UnreadDefinition):
        if domain.text is not None and "<log" not in domain.text:
            return None
        domain = domain.value()
    consoles = domain.devices.consoles
    return consoles[place].log if place < len(consoles) else None
