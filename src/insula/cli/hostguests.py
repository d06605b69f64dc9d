"""What becomes of guests when the host shuts down, and when it is up again: `insula-guests.service`.

    python -I -m insula.cli.hostguests (start | stop)

Settings come by the environment, as /etc/default/insula-guests has them. Nothing in them keeps a guest from being shut
down: what has no meaning is told, and counts as not said.
"""

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from insula.errors import DomainNotFoundError, InsulaError
from insula.layout import layout_from
from insula.model.domainstates import DomainState
from insula.model.numbers import ListDomains
from insula.sdk.connecting import connect
from insula.sdk.values import Json

REMEMBERED = "ran-at-shutdown"
"""The file, below what outlives a boot, with the UUIDs of the guests that ran: who was started first stands first."""
_PAUSE = 0.2
"""Seconds between two looks at guests that are shutting down."""

_ATTEMPTS = 5
"""How often the daemon is asked that does not answer."""
_AGAIN = 2.0
"""Seconds until then."""

Say = Callable[[str], None]


class EndingGuest(Protocol):
    """A domain, as far as it is asked for something here."""

    def is_active(self) -> bool: ...

    def resume(self) -> None: ...

    def shutdown(self) -> None: ...

    def destroy(self) -> None: ...

    def start(self) -> None: ...


class EndingHost(Protocol):
    """What is asked of the daemon."""

    def overview(self, flags: int = 0) -> list[Json]: ...

    def domain_by_uuid(self, uuid: str) -> EndingGuest: ...

    def stop_order(self) -> list[list[str]]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ShutdownSettings:
    """on_shutdown: shutdown, kill or ignore; timeout: seconds for each guest; parallel: guests at a time; on_boot:
    start or ignore."""

    on_shutdown: str = "shutdown"
    timeout: float = 120.0
    parallel: int = 1
    on_boot: str = "ignore"


def settings_of(environment: Mapping[str, str], say: Say) -> ShutdownSettings:
    """Return what the environment says; the rest is as usual."""
    usual = ShutdownSettings()

    def word(name: str, otherwise: str, *words: str) -> str:
        said = environment.get(name, "") or otherwise
        if said not in words:
            say(f"{name}={said} is none of {', '.join(words)}: taken for {otherwise}")
            return otherwise
        return said

    def number(name: str, otherwise: int) -> int:
        said = environment.get(name, "") or str(otherwise)
        if not (said.isascii() and said.isdecimal() and int(said[:9]) > 0):
            say(f"{name}={said} is no whole number above 0: taken for {otherwise}")
            return otherwise
        return int(said[:9])

    return ShutdownSettings(
        on_shutdown=word("ON_SHUTDOWN", usual.on_shutdown, "shutdown", "kill", "ignore"),
        timeout=number("SHUTDOWN_TIMEOUT", int(usual.timeout)),
        parallel=number("PARALLEL_SHUTDOWN", usual.parallel),
        on_boot=word("ON_BOOT", usual.on_boot, "start", "ignore"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PassingTime:
    """Seconds that pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class HostShutdown:
    """Ends all guests, in the reverse order of their starts. Each gets its time from when it is asked.

    Who is depended on, or has an earlier place, is asked once those before it have ended; else who was started last
    goes first.
    """

    def __init__(self, host: EndingHost, settings: ShutdownSettings, say: Say, clock: PassingTime) -> None:
        self._host = host
        self._settings = settings
        self._say = say
        self._clock = clock
        self._runs: frozenset[tuple[str, int]] = frozenset()
        """By UUID and id: who ran in the present round. Asked once for all that are waited for."""

    def end_all(self) -> bool:
        """Return whether none runs any more; what is left, and why, is told."""
        seen: set[str] = set()
        while news := [each for each in self._running() if each["uuid"] not in seen]:
            seen |= {each["uuid"] for each in news}
            for stage in self._stages(news):
                self._end(deque(stage))
        return not self._running()

    def _running(self) -> list[Json]:
        return sorted(self._host.overview(ListDomains.ACTIVE), key=lambda each: each["begun"] or 0, reverse=True)

    def _stages(self, news: Sequence[Json]) -> Iterator[list[Json]]:
        """The guests, those together that may end at the same time."""
        try:
            order = self._host.stop_order()
        except InsulaError as error:
            self._say(f"in which order guests are to stop is not known: {error}")
            order = []
        left = list(news)
        for names in order:
            stage = [each for each in left if each["name"] in names]
            left = [each for each in left if each["name"] not in names]
            yield stage
        yield left

    def _end(self, waiting: deque[Json]) -> None:
        going: list[Iterator[None]] = []
        while waiting or going:
            while waiting and len(going) < self._settings.parallel:
                going.append(self._ending(waiting.popleft()))
            self._runs = frozenset((each["uuid"], each["id"]) for each in self._running())
            going = [each for each in going if next(each, self) is None]
            if going:
                self._clock.sleep(_PAUSE)

    def _ending(self, told: Json) -> Iterator[None]:
        """One guest's end; goes on with each step for as long as that takes."""
        name = told["name"]
        try:
            found = self._host.domain_by_uuid(told["uuid"])
            if self._settings.on_shutdown == "shutdown":
                yield from self._shutting_down(found, told)
            else:
                self._say(f"{name} is killed")
                found.destroy()
        except DomainNotFoundError:  # a transient one that has ended
            self._say(f"{name} has shut down")
        except InsulaError as error:
            self._say(f"{name}: {error}")

    def _shutting_down(self, found: EndingGuest, told: Json) -> Iterator[None]:
        name = told["name"]
        deadline = self._clock.now() + self._settings.timeout
        try:
            if told["state"] == DomainState.PAUSED:
                found.resume()
            found.shutdown()
        except InsulaError as error:
            if not found.is_active():
                return
            self._say(f"{name} is killed, as it cannot be asked to shut down: {error}")
            found.destroy()
            return
        self._say(f"{name} is asked to shut down")
        while self._is_of(told):
            if self._clock.now() > deadline:
                self._say(f"{name} has not shut down within {self._settings.timeout:g} seconds, and is killed")
                found.destroy()
                return
            yield
        self._say(f"{name} has shut down")
        if found.is_active():
            self._say(f"{name} was started again by its own settings, and is killed")
            found.destroy()

    def _is_of(self, told: Json) -> bool:
        """Whether the very run goes on that was told of."""
        return (told["uuid"], told["id"]) in self._runs


def remember(place: Path, running: Sequence[Json]) -> None:
    """Write down who runs, the first that was started first, for `start_again` after the boot."""
    rows = sorted((each for each in running if each["persistent"]), key=lambda each: each["begun"] or 0)
    whole = place.with_name(f"{place.name}.new")
    with whole.open("w") as file:
        file.writelines(f"{each['uuid']}\n" for each in rows)
        file.flush()
        os.fsync(file.fileno())
    whole.replace(place)


def try_to_remember(place: Path, running: Sequence[Json], say: Say) -> None:
    """The same; a disk that refuses keeps no guest from being shut down."""
    try:
        remember(place, running)
    except OSError as error:
        say(f"who runs now will not be started with the host: {error}")


def start_again(host: EndingHost, place: Path, say: Say) -> None:
    """Start who ran at the last shutdown, unless it runs; one that fails is told, and keeps no other from starting."""
    for uuid in place.read_text().split():
        try:
            found = host.domain_by_uuid(uuid)
            if not found.is_active():
                found.start()
                say(f"{uuid} is started, as it ran at the last shutdown")
        except InsulaError as error:
            say(f"{uuid}: {error}")


def stop(settings: ShutdownSettings, say: Say) -> int:
    """The host shuts down. Returns: an exit status."""
    if settings.on_shutdown == "ignore":
        return 0
    layout = layout_from(None)
    remembered = settings.on_boot != "start"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with connect(layout) as host:
                if not remembered:
                    remembered = True
                    try_to_remember(layout.state / REMEMBERED, host.overview(ListDomains.ACTIVE), say)
                return 0 if HostShutdown(host, settings, say, PassingTime()).end_all() else 1
        except InsulaError as error:  # the daemon may just have been restarted: nobody is forgotten for that
            if attempt == _ATTEMPTS:
                raise
            say(f"guests are looked at again: {error}")
            time.sleep(_AGAIN)
    return 1


def start(settings: ShutdownSettings, say: Say) -> int:
    """The host is up. Returns: an exit status."""
    layout = layout_from(None)
    place = layout.state / REMEMBERED
    if settings.on_boot == "start" and place.exists():
        with connect(layout) as host:  # where nobody can be asked, who ran is still known at the next try
            start_again(host, place, say)
    place.unlink(missing_ok=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return an exit status."""
    parser = argparse.ArgumentParser(description="What becomes of guests when the host shuts down, and comes up.")
    parser.add_argument("verb", choices=("start", "stop"))

    def say(text: str) -> None:
        print(text, flush=True)

    settings = settings_of(os.environ, say)
    try:
        return {"start": start, "stop": stop}[parser.parse_args(arguments).verb](settings, say)
    except (InsulaError, OSError) as error:
        print(f"insula-guests: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
