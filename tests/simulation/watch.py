"""What is looked at after every callback of a daemon, and when everything has come to rest."""

from collections.abc import Callable
from uuid import UUID

from insula.service.events import Event, LifecycleEvent
from insula.testing.fakehost import FakeHost
from tests import invariants
from tests.invariants import Living, Mirror
from tests.simulation.daemon import SimulatedDaemon


class Watch:
    """Holds what daemons show and tell against what there is. say: told what is heard."""

    def __init__(self, host: FakeHost, say: Callable[[str], None]) -> None:
        self._host, self._say = host, say
        self._mirror: Mirror | None = None
        self._heard = 0
        self._told: set[int] = set()
        """Guests that were once shown as running."""

    def begin(self) -> None:
        """Another daemon has begun: nobody has heard anything of it yet."""
        self._mirror = None

    def look(self, daemon: SimulatedDaemon) -> None:
        """What holds after every callback."""
        if daemon.loop.failures:
            raise AssertionError(f"nobody handled: {daemon.loop.failures}")
        living = [pid for pid, each in self._host.processes.items() if each.is_guest]
        if len(living) > 1:
            invariants.nobody_lives_twice(self.living())
        if not daemon.serves:
            return
        if self._mirror is None:
            self._mirror, self._heard = Mirror.of(daemon.shown()), len(daemon.events)
        if len(daemon.events) != self._heard:
            for event in daemon.events[self._heard :]:
                self._hear(event)
            self._heard = len(daemon.events)
        if living:
            running = daemon.running()
            self._told |= running
            # A start that nobody was told of may be taken back by the next daemon.
            if not running.issuperset(living) and (missing := (self._told - running).intersection(living)):
                invariants.a_living_guest_is_shown(
                    [each for each in self.living() if each.pid in missing], daemon.shown()
                )

    def _hear(self, event: Event) -> None:
        self._say(f"event: {event}")
        if isinstance(event, LifecycleEvent) and self._mirror is not None:
            self._mirror.hear(event.domain.uuid, event.kind.name.lower())

    def living(self) -> list[Living]:
        return [
            Living(uuid=UUID(each.uuid), pid=each.pid, frozen=self._host.group(each.group).frozen or each.channel >= 0)
            for each in self._host.processes.values()
            if each.is_guest
        ]

    def at_rest(self, daemon: SimulatedDaemon) -> None:
        """What holds when nothing is under way."""
        shown = daemon.shown()
        busy = {str(uuid): each.busy for uuid, each in shown.items() if each.busy}
        assert not busy, f"verbs without end: {busy}"
        living = self.living()
        invariants.what_is_shown_lives(living, shown)
        invariants.a_living_guest_is_shown(living, shown)
        if self._mirror is not None:
            invariants.every_change_was_told(self._mirror, shown)
        held = {
            each.pid: (group.memory.limits.get("memory"), group.cpu.shares)
            for each in self._host.guests().values()
            for group in (self._host.group(each.group),)
        }
        invariants.devices_told_are_there(daemon.told_devices())
        invariants.limits_told_are_in_force(daemon.told_limits(), held)
