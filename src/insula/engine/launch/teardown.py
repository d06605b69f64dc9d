"""How a container ends: killed, its holdings taken away by the one reverse walk, and forgotten by the keeper."""

import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.holdings import Remains
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import Running
from insula.engine.machineviews import MachineViews
from insula.engine.steps.host.hoststep import Offload
from insula.errors import InsulaError, KeeperError, OperationFailedError, OperationTimeoutError
from insula.kernel.cgroups import Mode
from insula.kernel.fds import Reserve

_DYING = 5.0
"""Seconds in which a killed guest ends, unless the kernel itself waits for something."""


Unattended = Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
"""Does some work, and returns once it is done or begun."""


async def attended(work: Coroutine[Any, Any, None]) -> None:
    """Do it here and now."""
    await work


class Teardown:
    """Ends containers.

    release: walks over what they hold; reserve: descriptors for taking things back; unattended: does what nobody need
    wait for; views: serve machine views.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        link: KeeperLink,
        release: Release,
        reserve: Reserve,
        offload: Offload,
        unattended: Unattended = attended,
        views: MachineViews | None = None,
    ) -> None:
        self._facts = facts
        self._link = link
        self._release = release
        self._reserve = reserve
        self._offload = offload
        self._unattended = unattended
        self._views = views

    async def destroy(self, running: Running) -> ExitStatus:
        """Kill the container, and take away all that was made for it. May be called again, also after its end."""
        status = running.status
        if status is None:
            status = await self._killed(running)
        await self.release(running, status)
        return status

    async def _killed(self, running: Running) -> ExitStatus:
        """Kill it, whoever holds it, and return how it ended. Raises: OperationTimeoutError if it does not end."""
        if self._facts.hierarchies.mode is Mode.V1:
            # The v1 freezer holds even the killed.
            await self._offload(running.group.kill)
        if running.pidfd >= 0:
            # Not by the keeper's hand alone: it may be dying, or stopped.
            with suppress(OSError):
                running.signal(signal.SIGKILL)
        try:
            meant = {"uuid": running.uuid, "launch": running.record.launch}
            answer = await self._link.answer(self._link.ask(Verb.KILL, meant, {}))
        except KeeperError:
            # No keeper, or one that does not know it, or does not tell: whoever reaps it, it is killed. Its group may
            # be gone already.
            with suppress(FileNotFoundError):
                await self._offload(running.group.kill)
            if running.pidfd >= 0 and not await self._offload(partial(running.ends_within, _DYING)):
                raise OperationTimeoutError(
                    f"{running.name} is killed and has not ended yet: something holds a process of it in the kernel"
                ) from None
            return ExitStatus(status=None)
        status = answer.body["status"]
        answer.close()
        return ExitStatus(status=None if status is None else int(status))

    async def release(self, running: Running, status: ExitStatus) -> None:
        """Take away what is left of a container that has ended, and have the keeper forget it. May be called again.

        Raises: OperationFailedError if something stays behind; another call tries that again.
        """
        running.status = status
        if running.released:
            return
        try:
            await self._walk(running.record.remains, f"{running.name} has ended")
        finally:
            if self._views is not None and running.view:
                self._views.forget(str(running.record.launch))
            running.close()
        running.released = True

    async def take_away(self, remains: Remains) -> None:
        """Take away whatever is there of a launch that was cut short, the guest too. May be called again.

        A guest of the same UUID that another launch made is left alone.
        Raises: OperationFailedError if something stays behind.
        """
        with self._reserve.spent(), suppress(KeeperError):
            meant = {"uuid": remains.uuid, "launch": remains.launch}
            (await self._link.answer(self._link.ask(Verb.KILL, meant, {}))).close()
        await self._walk(remains, f"a start of {remains.uuid} was cut short")

    async def _walk(self, remains: Remains, why: str) -> None:
        """Take away what a guest that has ended holds on the host, and have the keeper forget it."""
        with self._reserve.spent():
            failures = await self._release.walk(remains.holdings, remains.launch)
            await self.forget(remains)
        if failures:
            texts = "; ".join(map(_told, failures))
            raise OperationFailedError(f"{why}, and something of it stays behind: {texts}") from failures[0]

    async def forget(self, remains: Remains) -> None:
        """Have the keeper drop its record of a guest that has ended; one it does not hold is fine."""
        body: dict[str, Any] = {"uuid": remains.uuid, "launch": remains.launch}
        if remains.pid is not None:
            # It may have ended while no keeper held it.
            body |= {"pid": remains.pid, "born": remains.born}
        with suppress(KeeperError):
            await self._unattended(self._confirmed(self._link.ask(Verb.FORGET, body, {})))

    async def forget_execution(self, executed_id: str) -> None:
        """Have the keeper drop its record of an entered process that has ended, likewise."""
        with suppress(KeeperError):
            (await self._link.answer(self._link.ask(Verb.FORGET, {"id": executed_id}, {}))).close()

    async def _confirmed(self, number: int) -> None:
        with suppress(KeeperError):
            (await self._link.answer(number)).close()


def _told(failure: OSError | InsulaError) -> str:
    return f"{failure.strerror}: {failure.filename}" if isinstance(failure, OSError) else str(failure)
