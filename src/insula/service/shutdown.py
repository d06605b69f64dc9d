"""Asking a guest to stop or to reboot. The verb returns once the guest was asked; whether it obeys is watched."""

import asyncio
import logging
from dataclasses import replace

from insula.engine.guestinit import InitAnswer, PowerAction, Way
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.spec import InitKind
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.numbers import ShutdownMode
from insula.service.containers import Looking
from insula.service.managed import ManagedDomain, Run
from insula.service.runrecord import StopReason
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)

TIME_LIMIT = 90.0
"""Seconds a guest gets, as systemd gives a unit by default; after them somebody should know."""

LISTENING = 20.0
"""Seconds from its start within which an init of a known kind has begun to listen, on a slow host too."""
LISTENING_PLAIN = 2.0
"""The same of any other program, such as a shell script with a trap."""
AGAIN = 0.1
"""Seconds until one that does not listen yet is asked again."""

_MEANINGLESS = ShutdownMode.ACPI | ShutdownMode.AGENT | ShutdownMode.PARAVIRT
_ASKED = {PowerAction.POWEROFF: StopReason.SHUTDOWN, PowerAction.REBOOT: StopReason.REBOOTED}
_WORDS = {PowerAction.POWEROFF: "shut down", PowerAction.REBOOT: "reboot"}


class ShutdownVerbs:
    """Asks guests' inits, and watches."""

    def __init__(self, *, runs: Runs, looker: Looking, time_limit: float = TIME_LIMIT) -> None:
        self._runs = runs
        self._looker = looker
        self._time_limit = time_limit
        self._watches: set[asyncio.Task[None]] = set()

    async def shutdown(self, managed: ManagedDomain, modes: ShutdownMode, *, run: Run | None = None) -> None:
        """Ask the guest to power off. run: the one that is meant, None for any.

        Raises: OperationInvalidError if that is over; OperationFailedError if its init cannot be asked, or does not
        listen: then nothing would come of it.
        """

        async def work() -> None:
            managed.refuse_unless(run)
            await self._ask(managed, PowerAction.POWEROFF, modes)

        await managed.lock.perform("shutdown", work)

    async def reboot(self, managed: ManagedDomain, modes: ShutdownMode) -> None:
        """Ask the guest to reboot; a program that knows no reboot is asked to end and then started again."""
        await managed.lock.perform("reboot", lambda: self._ask(managed, PowerAction.REBOOT, modes))

    def close(self) -> None:
        """Stop watching."""
        for watch in self._watches:
            watch.cancel()

    async def _ask(self, managed: ManagedDomain, action: PowerAction, modes: ShutdownMode) -> None:
        run = managed.require_run()
        ways = _ways(modes)
        before = run.record
        # Written before the guest hears it: one that ends at once must find us knowing why.
        self._runs.journal.write_record(managed, replace(before, asked=_ASKED[action]))
        try:
            await managed.lock.unless_overtaken(self._ask_until_heard(run, action, ways))
        except Exception:
            self._runs.journal.write_record(managed, before)
            raise
        self._begin_watch(managed, run, action)

    def watch_again(self, managed: ManagedDomain) -> None:
        """Watch a guest that an earlier daemon asked for something, as if it were asked now."""
        run = managed.run
        for action, reason in _ASKED.items():
            if run is not None and run.record.asked is reason:
                self._begin_watch(managed, run, action)

    def _begin_watch(self, managed: ManagedDomain, run: Run, action: PowerAction) -> None:
        watch = asyncio.get_running_loop().create_task(self._watch(managed, run, action))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _ask_until_heard(self, run: Run, action: PowerAction, ways: tuple[Way, ...]) -> None:
        """Ask one that has just begun until it can have heard: what it has no handler for yet, the kernel drops.

        Raises: OperationFailedError for a program that does not listen, or cannot be asked; as _ask_init.
        """
        while True:
            kind, answer = await self._ask_init(run.container, action, ways)
            plain = kind is InitKind.PLAIN
            listening = LISTENING_PLAIN if plain else LISTENING
            if answer is not InitAnswer.UNHEARD or run.record.age >= listening:
                break
            await asyncio.sleep(AGAIN)
        if answer is not InitAnswer.UNHEARD or plain:  # an init of a known kind is trusted to listen in its own way
            _understand(run.container, action, answer)

    async def _ask_init(
        self, container: Running, action: PowerAction, ways: tuple[Way, ...]
    ) -> tuple[InitKind, InitAnswer]:
        """Ask in the first way that this init has; a program that knows no reboot is asked to end.

        Raises: OperationFailedError, OperationInvalidError; OperationTimeoutError if the guest holds us up.
        """
        spec = container.record.spec
        arguments = {
            "pid": container.pid,
            "kind": spec.init_kind.value,
            "argv": list(spec.init.argv),
            "actions": [action.value, PowerAction.POWEROFF.value],
            "ways": [each.value for each in ways],
        }
        sight = Sight(whose=container.uuid, name=f"domain '{container.name}'")
        try:
            found = await self._looker.look(sight, "ask-init", arguments, {"init": container.pidfd})
        except (ProcessLookupError, FileNotFoundError) as error:
            raise OperationInvalidError("domain is not running") from error
        except OSError as error:
            raise OperationFailedError(f"the init of domain '{container.name}' cannot be asked: {error}") from error
        return InitKind(found["kind"]), InitAnswer(found["answer"])

    async def _watch(self, managed: ManagedDomain, run: Run, action: PowerAction) -> None:
        """Say so when the guest is still there after the time limit; what it does later is its own doing again."""
        await asyncio.sleep(self._time_limit)

        async def work() -> None:
            if managed.run is run and run.record.asked is _ASKED[action]:
                text = f"the guest was asked to {_WORDS[action]} and has not done so within {self._time_limit:g} s"
                LOGGER.warning("domain '%s': %s", managed.name, text)
                managed.notices = (*managed.notices, text)
                self._runs.journal.write_record(managed, replace(run.record, asked=None))

        await managed.lock.perform_surely("watch", work)


def _ways(modes: ShutdownMode) -> tuple[Way, ...]:
    """How init may be asked, in the order to be tried. Raises: InvalidArgumentError for ways of virtual machines."""
    if modes & _MEANINGLESS:
        raise InvalidArgumentError("a container has no ACPI, no agent and no paravirtual bus; use initctl or signal")
    wanted = [way for mode, way in _WAYS if mode & modes]
    return tuple(wanted) or (Way.ANY,)


_WAYS = ((ShutdownMode.INITCTL, Way.FIFO), (ShutdownMode.SIGNAL, Way.SIGNAL))


def _understand(container: Running, action: PowerAction, answer: InitAnswer) -> None:
    """Raises: OperationFailedError unless init was asked."""
    match answer:
        case InitAnswer.UNHEARD:
            raise OperationFailedError(
                f"the first program of domain '{container.name}' does not listen to the signal that would ask "
                f"it to {_WORDS[action]}; it can be ended by force"
            )
        case InitAnswer.NO_WAY:
            raise OperationFailedError(
                f"the init of domain '{container.name}' cannot be asked to {_WORDS[action]} in that way"
            )
