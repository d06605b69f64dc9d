"""Consoles of guests, and who looks at them: what a viewer has seen is kept before it is shown, whatever dies."""

import asyncio
import itertools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.console.consolering import kept
from insula.errors import InsulaError, OperationAbortedError
from insula.testing import FakeHost, FakeProcess
from tests import invariants
from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.world import World

_SAID = re.compile(rb"<(\d+)>")


@dataclass(kw_only=True, slots=True, eq=False)
class Viewer:
    """Who looks at a domain's console, in each run that follows by a reboot. seen: all that it was shown; reading: what
    it waits for."""

    uuid: UUID
    channel: ConsoleChannel
    seen: bytearray = field(default_factory=bytearray)
    reading: asyncio.Task[None] | None = None

    @property
    def looks(self) -> bool:
        return self.reading is not None and not self.reading.done()


class Consoles:
    """Those of a walk's guests: each has one. What guests print and viewers type is numbered.

    daemon: the living one that serves, if there is one; found: told what must not be; say: told what happens.
    """

    def __init__(
        self,
        world: World,
        host: FakeHost,
        *,
        daemon: Callable[[], SimulatedDaemon | None],
        found: Callable[[AssertionError], None],
        say: Callable[[str], None],
    ) -> None:
        self._world, self._host = world, host
        self._daemon, self._found, self._say = daemon, found, say
        self._numbers = itertools.count(1)
        self._viewers: list[Viewer] = []
        self._printed: dict[int, list[int]] = {}
        """By the guest's pid."""
        self._printed_by: dict[UUID, list[int]] = {}
        """The same of all of a domain's guests."""
        self._typed: dict[int, list[int]] = {}
        """What reached the guest, by its pid."""
        self._seen: dict[UUID, set[int]] = {}
        """What any viewer has seen of a domain's guests."""
        self.disk_failed = False
        """Whether what is printed may have been kept nowhere."""
        self.keeper_died = False
        """Whether terminals may be gone: they are where keeper and daemon die together."""

    # Guests

    def print(self, uuid: UUID) -> None:
        """A guest prints something, if it runs and has a terminal that somebody holds the other end of."""
        guest = self._running(uuid)
        if guest is None:
            return
        number = next(self._numbers)
        try:
            os.write(guest.terminals[0], b"<%d>" % number)
        except OSError as error:
            self._say(f"process {guest.pid} cannot print: {error}")
            return
        self._say(f"process {guest.pid} prints <{number}>")
        self._printed.setdefault(guest.pid, []).append(number)
        self._printed_by.setdefault(uuid, []).append(number)

    def _running(self, uuid: UUID) -> FakeProcess | None:
        guest = self._host.guests().get(str(uuid))
        if guest is None or not guest.executed or not guest.terminals or self._host.group(guest.group).frozen:
            return None
        return guest

    def _read_typed(self, guest: FakeProcess) -> None:
        os.set_blocking(guest.terminals[0], False)
        try:
            said = os.read(guest.terminals[0], 65536)
        except OSError:
            return
        self._typed.setdefault(guest.pid, []).extend(_numbers(said))

    # Viewers

    def open(self, uuid: UUID, viewing: Viewing, *, force: bool = False) -> None:
        """Somebody attaches to a console. What refuses that is answered at once."""
        daemon = self._daemon()
        if daemon is None:
            return
        try:
            viewer = self._attached(daemon, uuid, viewing, force=force)
        except InsulaError as error:
            self._say(f"nobody attaches to the console of {uuid}: {error}")
            return
        self._say(f"somebody attaches to the console of {uuid}, {viewing.value}")
        viewer.reading = daemon.call(self._look(daemon, viewer), "look at a console")
        self._viewers.append(viewer)

    def _attached(self, daemon: SimulatedDaemon, uuid: UUID, viewing: Viewing, *, force: bool) -> Viewer:
        managed = daemon.services.domains.by_uuid(uuid)
        return Viewer(uuid=uuid, channel=daemon.services.consoles.open(managed, None, viewing=viewing, force=force))

    async def _look(self, daemon: SimulatedDaemon, viewer: Viewer) -> None:
        try:
            while chunk := await viewer.channel.read():
                viewer.seen += chunk
                try:
                    self._check_shown(daemon, viewer, chunk)
                except AssertionError as error:
                    self._found(error)
        finally:
            viewer.channel.close()

    def _check_shown(self, daemon: SimulatedDaemon, viewer: Viewer, chunk: bytes) -> None:
        """What holds at the instant at which a viewer is shown something."""
        numbers = _numbers(viewer.seen)
        self._seen.setdefault(viewer.uuid, set()).update(numbers)
        invariants.a_viewer_sees_what_was_printed(numbers, self._printed_by.get(viewer.uuid, []))
        guest = self._host.guests().get(str(viewer.uuid))
        if guest is None or guest.pid not in self._host.processes or self.disk_failed:
            return
        present = set(self._printed.get(guest.pid, []))
        shown = [number for number in _numbers(chunk) if number in present]  # and maybe the last of a run before
        path = daemon.wiring.directory.console(viewer.uuid, 0)
        actor, self._world.actor = self._world.actor, None  # nobody simulated looks
        try:
            content = kept(path) if path.parent.exists() else chunk
        finally:
            self._world.actor = actor
        for number in shown:
            invariants.what_is_shown_is_kept(b"<%d>" % number, content)

    def type(self, uuid: UUID) -> None:
        """Whoever has the console of a guest types something."""
        daemon, guest = self._daemon(), self._host.guests().get(str(uuid))
        if daemon is None or guest is None:
            return
        for viewer in self._viewers:
            if viewer.looks and viewer.uuid == uuid and viewer.channel.viewing is Viewing.INTERACTIVE:
                number = next(self._numbers)
                self._say(f"<{number}> is typed at the console of process {guest.pid}")
                daemon.call(_typed(viewer.channel, b"<%d>" % number), "type at a console")

    def leave(self, uuid: UUID) -> None:
        """Everybody who looks at a guest's console is gone at once, as clients are that die."""
        for viewer in self._viewers:
            if viewer.looks and viewer.reading is not None and viewer.uuid == uuid:
                self._say(f"somebody leaves the console of {uuid}")
                viewer.reading.cancel()

    def forget(self) -> None:
        """The daemon is gone, and all who were shown something by it."""
        self._viewers.clear()

    # At rest

    def check_at_rest(self, daemon: SimulatedDaemon) -> None:
        """What holds when nothing is under way: who comes now sees all that anybody has seen."""
        for guest in list(self._host.guests().values()):
            if not guest.executed or not guest.terminals:
                continue
            self._read_typed(guest)
            invariants.what_is_typed_arrives_in_order(self._typed.get(guest.pid, []))
            try:
                viewer = self._attached(daemon, UUID(guest.uuid), Viewing.WATCHING, force=False)
            except InsulaError as error:
                if not self.keeper_died:
                    raise AssertionError(f"the console of process {guest.pid} is lost: {error}") from error
                continue
            numbers = _numbers(viewer.channel._backlog)
            viewer.channel.close()
            printed = self._printed.get(guest.pid, [])
            invariants.a_viewer_sees_what_was_printed(numbers, printed)
            if not self.disk_failed:
                invariants.what_was_seen_is_seen_again(self._seen.get(viewer.uuid, set()) & set(printed), numbers)


async def _typed(channel: ConsoleChannel, data: bytes) -> None:
    try:
        await channel.write(data)
    except OperationAbortedError:
        return  # it has ended, or somebody else has it now


def _numbers(said: bytes | bytearray) -> list[int]:
    return [int(each) for each in _SAID.findall(said)]
