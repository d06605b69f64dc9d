"""Probes: what is tried inside guests to know how they are, each with an end."""

import asyncio
import os
from contextlib import suppress

from insula.engine.spec import Process
from insula.errors import InsulaError
from insula.kernel.fds import Fd
from insula.model.probes import Probe
from insula.service.guest import GuestVerbs
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain

_GRACE = 2.0
"""Seconds, beside a probe's own: for the look itself to begin."""
_DYING = 1.0
"""Seconds in which a program ends that was killed, unless the guest keeps it."""


class Probing:
    """Tries probes."""

    def __init__(self, guest: GuestVerbs, visits: GuestVisits) -> None:
        self._guest = guest
        self._visits = visits

    async def failure(self, managed: ManagedDomain, probe: Probe, seconds: float) -> str | None:
        """Return why a probe of a guest that runs fails, None if it succeeds; within about so many seconds."""
        try:
            if probe.port is not None:
                return await self._port(managed, probe, seconds)
            return await self._command(managed, probe, seconds)
        except (InsulaError, OSError) as error:
            return str(error)

    async def _port(self, managed: ManagedDomain, probe: Probe, seconds: float) -> str | None:
        asked = {"port": probe.port, "addresses": list(probe.addresses), "seconds": seconds}
        reason: str | None = await self._visits.look(managed, "connect-port", asked, seconds=seconds + _GRACE)
        return None if reason is None else f"{probe}: {reason}"

    async def _command(self, managed: ManagedDomain, probe: Probe, seconds: float) -> str | None:
        null = Fd(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        try:
            async with asyncio.timeout(seconds):
                started = await self._guest.execute(
                    managed, Process(argv=probe.words), stdio=(null, null, null), owner=self, probing=True
                )
        except TimeoutError:
            return f"{probe} does not begin within {seconds:g} s"
        finally:
            os.close(null)
        ended = False
        try:
            async with asyncio.timeout(seconds):
                status = await self._guest.wait_executed(started.id)
            ended = True
        except TimeoutError:
            return f"{probe} does not end within {seconds:g} s"
        finally:
            if not ended:  # also if nobody wants to know any more
                await self._kill(started.id)
        if status == 0:
            return None
        if status is None:
            return f"how {probe} ended is not known"
        return f"{probe}: {_words(os.waitstatus_to_exitcode(status))}"

    async def _kill(self, number: int) -> None:
        """Kill a program that has not ended, with what it began."""
        with suppress(TimeoutError, InsulaError, OSError):
            async with asyncio.timeout(_DYING):
                await self._guest.kill_executed(number)
                await self._guest.wait_executed(number)


def _words(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"
