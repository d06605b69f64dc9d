"""The daemon's way to all keepers: those of earlier versions that still hold guests, and the newest.

    a guest that an older keeper holds ──► that keeper          everything else ──► the newest
    hello                              ──► each, answered as one

Each version of the protocol has a socket of its own in the run directory. New guests and entering processes are the
newest keeper's; one that holds nothing any more is told to end. Should an older one die, its guests are handed to the
newest, as after any keeper's death.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from insula.daemon.keeperlink import KeeperSupervisor
from insula.engine.keeper.dialects import TRANSLATIONS
from insula.engine.keeper.link import KeeperEvent
from insula.engine.keeper.protocol import Message, Verb
from insula.errors import KeeperError

_logger = logging.getLogger(__name__)

_OF_A_GUEST = frozenset({Verb.FETCH, Verb.KILL, Verb.FORGET, Verb.KEEP, Verb.PROCEED, Verb.ABORT})
"""What is asked of whoever holds the guest, or the entered process, that is meant."""


class OlderKeeper:
    """A keeper of an earlier version, and what it holds: UUIDs of guests, and of each entered process's guest by id."""

    def __init__(self, version: int, link: KeeperSupervisor) -> None:
        self.version = version
        self.link = link
        self.guests: set[str] = set()
        self.executions: dict[str, str] = {}

    def holds(self, body: Mapping[str, Any]) -> bool:
        """Whether it is meant by a request about a guest or an entered process."""
        return body.get("id") in self.executions or ("id" not in body and body.get("uuid") in self.guests)

    def learn(self, body: Mapping[str, Any]) -> None:
        """Take in what it says that it holds."""
        self.guests = {str(each["uuid"]) for each in body["guests"]}
        self.executions = {str(each["id"]): str(each["uuid"]) for each in body["executions"]}

    def forgets(self, body: Mapping[str, Any]) -> None:
        """It has let go of a guest, and what entered it, or of an entered process."""
        if "id" in body:
            self.executions.pop(str(body["id"]), None)
            return
        self.guests.discard(str(body["uuid"]))
        self.executions = {each: uuid for each, uuid in self.executions.items() if uuid != body["uuid"]}

    @property
    def drained(self) -> bool:
        return not (self.guests or self.executions)


class KeeperGenerations:
    """A `KeeperLink` to all of them.

    obtain: returns a channel to the newest keeper, started if need be; older: channels to those of earlier versions
    that are there, by version. Both may block, and run in a thread. on_event, restored: as `KeeperSupervisor` has them.
    """

    def __init__(
        self,
        *,
        obtain: Callable[[], socket.socket],
        older: Callable[[], Mapping[int, socket.socket]],
        on_event: Callable[[KeeperEvent], None],
        restored: Callable[[], Awaitable[None]],
    ) -> None:
        self._find_older = older
        self._on_event = on_event
        self._restored = restored
        self._newest = KeeperSupervisor(obtain=obtain, on_event=on_event, restored=restored)
        self._older: list[OlderKeeper] = []
        self._asked: dict[int, list[tuple[OlderKeeper | None, int]]] = {}
        """Whom a request went to, None for the newest, and its number there; the first one's answer counts."""
        self._bodies: dict[int, tuple[Verb, dict[str, Any]]] = {}
        self._last = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def newest(self) -> KeeperSupervisor:
        """The link to the newest alone, by which processes enter guests of whichever keeper."""
        return self._newest

    @property
    def keeper_pid(self) -> int | None:
        """See `KeeperSupervisor.keeper_pid`: the newest's."""
        return self._newest.keeper_pid

    @property
    def restarts(self) -> int:
        return self._newest.restarts

    @property
    def older_versions(self) -> list[int]:
        """The versions of the older keepers that are still there."""
        return [each.version for each in self._older]

    async def start(self) -> None:
        """Connect to all of them. Raises: KeeperError if there is no newest, and none can be started."""
        for version, channel in (await asyncio.to_thread(self._find_older)).items():
            older = self._joined(version, channel)
            self._older.append(older)
            with suppress(KeeperError):
                await older.link.start()
        await self._newest.start()

    def _joined(self, version: int, channel: socket.socket) -> OlderKeeper:
        older: OlderKeeper
        translate = TRANSLATIONS[version]
        link = KeeperSupervisor(
            obtain=lambda: channel,
            on_event=lambda event: self._on_event(KeeperEvent(translate(event.body))),
            restored=self._restored,
            gone=lambda: self._lost(older),
        )
        older = OlderKeeper(version, link)
        return older

    async def close(self, *, quit_keeper: bool = False) -> None:
        """See `KeeperSupervisor.close`."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._older:
            await each.link.close(quit_keeper=quit_keeper)
        await self._newest.close(quit_keeper=quit_keeper)

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        """See `KeeperLink.ask`."""
        if verb is Verb.LAUNCH:
            self._leave_former(str(body["uuid"]))
        holder = next((each for each in self._older if each.holds(body)), None) if verb in _OF_A_GUEST else None
        links: list[OlderKeeper | None] = [holder]
        if verb is Verb.HELLO:
            links = [None, *self._older]
        elif verb is Verb.FORGET and holder is not None and "id" not in body:
            links.append(None)  # what entered an older keeper's guest is the newest's
        asked = [(links[0], self._link(links[0]).ask(verb, body, fds))]
        for each in links[1:]:
            with suppress(KeeperError):
                asked.append((each, self._link(each).ask(verb, body, fds)))
        self._last += 1
        self._asked[self._last] = asked
        self._bodies[self._last] = (verb, dict(body))
        return self._last

    def _leave_former(self, uuid: str) -> None:
        """Let what an older keeper has of an earlier run not stand for the new one: its end was told before."""
        for older in [each for each in self._older if uuid in each.guests]:
            with suppress(KeeperError):
                older.link.ask(Verb.FORGET, {"uuid": uuid}, {})
            older.forgets({"uuid": uuid})

    def _link(self, older: OlderKeeper | None) -> KeeperSupervisor:
        return self._newest if older is None else older.link

    async def answer(self, number: int) -> Message:
        """See `KeeperLink.answer`."""
        asked, (verb, body) = self._asked.pop(number), self._bodies.pop(number)
        try:
            return await self._answered(asked, verb, body)
        finally:
            if verb is Verb.FORGET:
                self._dismiss_drained()

    async def _answered(self, asked: list[tuple[OlderKeeper | None, int]], verb: Verb, body: dict[str, Any]) -> Message:
        (first, told), *others = asked
        try:
            message = await self._translated(first, told)
            if first is not None and verb is Verb.FORGET:
                first.forgets(body)
        finally:
            further = []
            for older, number in others:
                with suppress(KeeperError):
                    further.append((older, await self._translated(older, number)))
        for older, each in further:
            each.close()
            if verb is Verb.HELLO and older is not None:
                older.learn(each.body)
                for kind in ("guests", "executions"):
                    message.body[kind] += each.body[kind]
        if verb is Verb.HELLO:
            self._dismiss_drained()
        return message

    async def _translated(self, older: OlderKeeper | None, number: int) -> Message:
        if older is None:
            return await self._newest.answer(number)
        message = await older.link.answer(number)
        return Message(TRANSLATIONS[older.version](message.body), message.fds)

    def _dismiss_drained(self) -> None:
        for each in [each for each in self._older if each.drained]:
            self._older.remove(each)
            _logger.info("the keeper of protocol version %d holds nothing any more, and ends", each.version)
            self._begin(each.link.close(quit_keeper=True), "an old keeper's end")

    def _lost(self, older: OlderKeeper) -> None:
        """Give the newest keeper what one that has died held."""
        if older in self._older:
            self._older.remove(older)
        if not self._closed:
            self._begin(self._handed_over(), "handing over an old keeper's guests")

    async def _handed_over(self) -> None:
        try:
            await self._restored()
        except Exception as error:  # whatever it was, guests go on; the next keeper or daemon takes them
            _logger.error("what an old keeper held is not handed over: %s", error)

    def _begin(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
