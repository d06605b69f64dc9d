"""Notices when somebody takes our rules away, or changes them, and has them put back: nothing is looked at in vain."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from insula.engine.threads import in_own_thread
from insula.network.firewall.rulenotices import RuleChange, RuleNotices

_LOGGER = logging.getLogger(__name__)

_QUIET = 0.02
"""Seconds after a change within which further ones count as the same: who loads rules anew does it in several steps."""
_OTHERS = frozenset({"filter", "firewalld"})
"""Tables of others that may keep networks from what their own rules let them do: iptables', and firewalld's."""
_SETTLED = 1.0
"""Seconds after a change of those, before it is looked at: who loads rules is done by then."""
_CALM = 60.0
"""Seconds without such a change, after which somebody is no longer taken for one who changes our rules by and by."""
_LONGEST_PAUSE = 30.0


class RestoredFirewall(Protocol):
    """See `network.firewall.firewall.Firewall`."""

    @property
    def table(self) -> str: ...

    def made(self, process: int) -> bool:
        """Whether a process that changed rules was one of ours."""
        ...

    def restore(self) -> tuple[str, ...]: ...

    def look_around(self) -> None: ...


class RuleWatch:
    """Follows the tables of an installation, in the event loop and the network namespace that it is made in.

    told: called with what was put back, in words; notices: the kernel's by default.
    """

    def __init__(
        self, firewall: RestoredFirewall, told: Callable[[str], None], notices: RuleNotices | None = None
    ) -> None:
        self._firewall, self._told = firewall, told
        self._loop = asyncio.get_running_loop()
        self._notices = notices or RuleNotices()
        self._loop.add_reader(self._notices, self._changed)
        self._due: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._again: RuleChange | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._pause, self._last = _QUIET, -_CALM

    def close(self) -> None:
        """Follow nothing any more; what is being put back comes to its end."""
        self._loop.remove_reader(self._notices)
        self._notices.close()
        for timer in (self._due, self._looking):
            if timer is not None:
                timer.cancel()

    def _changed(self) -> None:
        for change in self._notices.read():
            if change.tables is not None and change.tables & _OTHERS and self._looking is None:
                self._looking = self._loop.call_later(_SETTLED, self._look)
            if change.tables is not None and self._firewall.table not in change.tables:
                continue
            if not self._firewall.made(change.process):
                self._plan(change)

    def _look(self) -> None:
        self._looking = None
        task = self._loop.create_task(self._look_around(), name="looking at others' firewalls")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_around(self) -> None:
        try:
            await in_own_thread(self._firewall.look_around)
        except Exception as error:  # whatever it was, the next change is looked at
            _LOGGER.error("what others' firewalls keep networks from is not known: %s", error)

    def _plan(self, change: RuleChange) -> None:
        """Have them put back soon, and ever later if somebody takes them away again and again."""
        if self._task is not None:
            self._again = change
        elif self._due is None:
            self._due = self._loop.call_later(self._pause, self._begin, change)

    def _begin(self, change: RuleChange) -> None:
        self._due = None
        self._task = self._loop.create_task(self._restore(change), name="restoring rules of the packet filter")

    async def _restore(self, change: RuleChange) -> None:
        try:
            restored = await in_own_thread(self._firewall.restore)
        except Exception as error:  # whatever it was, it is tried again
            _LOGGER.error("rules of the packet filter that somebody took away cannot be put back: %s", error)
            restored, self._again = (), change
            self._slow_down()
        finally:
            self._task = None
        if restored:
            who = f"{change.program} (process {change.process})" if change.program else "somebody"
            self._slow_down()
            self._told(f"{who} took away or changed {' and '.join(restored)}; they are back")
        if self._again is not None:
            again, self._again = self._again, None
            self._plan(again)

    def _slow_down(self) -> None:
        now = self._loop.time()
        self._pause = _QUIET if now - self._last > _CALM else min(self._pause * 2, _LONGEST_PAUSE)
        self._last = now
