"""What a client started in a guest ends with it, as what was started at a terminal does when that goes away.

Its session is told so by SIGHUP; a program that is still there some seconds later is killed, with all of its session.
What has become another session's, or ignores SIGHUP while its program does not, goes on: who wants that asked for it.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from insula.engine.threads import in_own_thread
from insula.kernel.process import session_of

PATIENCE = 5.0
"""Seconds a program may take to tidy up."""
LOGGER = logging.getLogger(__name__)

Processes = Callable[[], Sequence[int]]
"""Returns the pids of the guest's processes."""


async def hang_up(leader: int, end: asyncio.Future[int | None], processes: Processes) -> None:
    """Return once a program that leads a session has ended, or was killed. end: becomes done when it has ended."""
    if end.done():
        return
    await in_own_thread(partial(_signal_session, leader, processes, signal.SIGHUP))
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(end), PATIENCE)
    if not end.done():
        await in_own_thread(partial(kill_session, leader, processes))


def kill_session(leader: int, processes: Processes) -> None:
    """Kill a program that leads a session, and all of that. Looks at the guest's processes: not in the loop."""
    _signal_session(leader, processes, signal.SIGKILL)


def _signal_session(leader: int, processes: Processes, number: signal.Signals) -> None:
    try:
        found = processes()
    except OSError as error:
        LOGGER.debug("the processes of a guest cannot be listed: %s", error)
        found = [leader]
    for pid in found:
        with suppress(OSError):
            if session_of(pid) != leader:
                continue
            descriptor = os.pidfd_open(pid)
            try:
                # Between the look and the opening, the number may have been given to another process: look again.
                if session_of(pid) == leader:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
