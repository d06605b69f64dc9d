"""The way to the keeper: requests out, answers and events in. The blocking form is here; the daemon has its own.

The launcher's coroutines run over a `KeeperLink`. Over a `BlockingLink` they never suspend, so `completed` drives them
without an event loop.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from insula.engine.keeper.protocol import EventKind, Message, Verb, receive, send
from insula.engine.keeper.starting import PATIENCE
from insula.errors import KeeperError, StepError

T = TypeVar("T")


_STEPS_MARGIN = 5.0
_AT_ONCE = 15.0
ANSWER_WITHIN: Mapping[Verb, float] = {
    Verb.HELLO: _AT_ONCE,
    Verb.FETCH: _AT_ONCE,
    Verb.LAUNCH: _AT_ONCE,
    Verb.NETLINK: PATIENCE + _STEPS_MARGIN,
    Verb.GO: PATIENCE + _STEPS_MARGIN,
    Verb.PROCEED: PATIENCE + _STEPS_MARGIN,
    Verb.ABORT: _AT_ONCE,
    Verb.KILL: _AT_ONCE,
    Verb.EXECUTE: PATIENCE + _STEPS_MARGIN,
    Verb.PERFORM: PATIENCE + _STEPS_MARGIN,
    Verb.ADOPT: _AT_ONCE,
    Verb.STATUS: _AT_ONCE,
    Verb.KEEP: _AT_ONCE,
    Verb.FORGET: _AT_ONCE,
    Verb.QUIT: _AT_ONCE,
    Verb.PING: _AT_ONCE,
}
"""Seconds until an answer is not waited for any longer: more than a silent keeper is left alone. What performs steps
has the keeper's own limit before ours; the killed are given up when libvirt gives up as well."""


class KeeperLink(Protocol):
    """A connection to a keeper, on which several requests may be under way."""

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        """Send a request and return its number; the caller keeps its fds. Raises: KeeperError if the keeper is gone."""
        ...

    async def answer(self, number: int) -> Message:
        """Return the answer to that request; the caller owns its fds.

        Raises: what `raise_error` makes of an answer that is an error; KeeperError if the keeper is gone, or has not
        answered in the time of `ANSWER_WITHIN`.
        """
        ...


class KeeperEvent:
    """What the keeper told unasked: kind, and the rest as it came."""

    __slots__ = ("body", "kind")

    def __init__(self, body: dict[str, Any]) -> None:
        self.kind = EventKind(body["event"])
        self.body = body

    @property
    def uuid(self) -> str:
        return str(self.body["uuid"])

    @property
    def status(self) -> int | None:
        """The wait status, None if nobody can know it."""
        status = self.body["status"]
        return None if status is None else int(status)

    @property
    def execution(self) -> str:
        """The id of the entered process, for EXECUTED."""
        return str(self.body["id"])

    @property
    def held(self) -> bool:
        """Whether the keeper keeps that until it is told to forget it."""
        return bool(self.body.get("held", True))


def raise_error(message: Message) -> None:
    """Raise the error that an answer carries, if it carries one.

    Raises: StepError with the index of the step that failed as its `step`, or with an errno; else KeeperError.
    """
    error = message.body.get("error")
    if error is None:
        return
    message.close()
    if error.get("step") is not None or error.get("errno"):
        raise StepError(error["text"], step=str(error.get("step", "")), errno=error.get("errno") or 0)
    raise KeeperError(error["text"])


class BlockingLink:
    """A link that waits in recvmsg. on_event: called for each event, between messages."""

    def __init__(self, channel: socket.socket, on_event: Callable[[KeeperEvent], None] | None = None) -> None:
        self._channel = channel
        self._on_event = on_event
        self._last = 0
        self._waiting: dict[int, float] = {}
        """Until when, in monotonic seconds."""
        self._answers: dict[int, Message] = {}
        self._events: deque[KeeperEvent] = deque()

    def fileno(self) -> int:
        """The channel's fd, readable when `dispatch` has something to do."""
        return self._channel.fileno()

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        self._last += 1
        try:
            send(self._channel, {"request": self._last, "verb": verb.value, **body}, fds)
        except OSError as error:
            raise KeeperError(f"the keeper does not take requests: {error.strerror}") from error
        self._waiting[self._last] = time.monotonic() + ANSWER_WITHIN[verb]
        return self._last

    async def answer(self, number: int) -> Message:
        try:
            while number not in self._answers:
                self._receive(self._waiting[number])
        finally:
            self._waiting.pop(number, None)
        message = self._answers.pop(number)
        self._deliver_events()
        raise_error(message)
        return message

    def dispatch(self) -> None:
        """Take one message from the keeper, waiting for it if need be, and deliver what is an event."""
        self._receive(None)
        self._deliver_events()

    def close(self) -> None:
        for message in self._answers.values():
            message.close()
        self._channel.close()

    def _receive(self, until: float | None) -> None:
        if until is not None and not _comes(self._channel, until):
            raise KeeperError("the keeper does not answer")
        try:
            message = receive(self._channel)
        except (OSError, ValueError) as error:
            raise KeeperError(f"the keeper cannot be understood: {error}") from error
        if message is None:
            raise KeeperError("the keeper is gone")
        if "event" in message.body:
            self._events.append(KeeperEvent(message.body))
        elif message.body.get("answer") in self._waiting:
            self._answers[message.body["answer"]] = message
        else:
            # The answer to a request whose asker gave up.
            message.close()

    def _deliver_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            if self._on_event is not None:
                self._on_event(event)


def _comes(channel: socket.socket, until: float) -> bool:
    """Wait until there is something to receive; return whether it came in time."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    return bool(poller.poll(max(0.0, until - time.monotonic()) * 1000))


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise RuntimeError("a coroutine over a blocking link suspended")
