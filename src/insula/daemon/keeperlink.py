"""The daemon's way to the keeper: a `KeeperLink` on the event loop that finds the living keeper, or starts one.

    start ──► connect, else spawn and connect ──► asked and answered
                     ▲                                 │ end of file: the keeper died, or was silent and is killed
                     └──── then `restored` ◄───────────┘ everybody who waits gets KeeperError

Guests live on without a keeper; `restored` hands the new one what this process holds of them. Until that is done, only
what `restored` itself asks goes to the new keeper: whoever else asks waits.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from insula.daemon.keeperwatch import KeeperWatch
from insula.engine.keeper.link import KeeperEvent, raise_error
from insula.engine.keeper.protocol import Message, Verb, decode, encode, receive_encoded, send_encoded
from insula.engine.keeper.startup import listening_pid
from insula.engine.threads import in_own_thread
from insula.errors import KeeperError
from insula.kernel.fds import close_all

RESTART_PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before each attempt to start a keeper again; the last one is repeated."""
PATIENT_ATTEMPTS = 4
"""Failed attempts after which those who ask are no longer kept waiting for a keeper."""
_FIRST_REPLACEMENT = 30.0
"""Seconds for replacing a keeper that we found silent when we began."""
_MESSAGES_A_TURN = 64
"""Messages taken before other work gets its turn."""

_RESTORER: ContextVar[object | None] = ContextVar("restorer", default=None)
"""Tells what the task that hands guests over asks, and what it begins, from what others ask meanwhile."""

_logger = logging.getLogger(__name__)


class KeeperSupervisor:
    """A link that outlives keepers.

    obtain: returns a connected SOCK_SEQPACKET socket to a keeper, spawning it if need be; may block for the time a
    process takes to start, so it runs in a thread. on_event: called for each thing the keeper tells unasked.
    restored: awaited when a new keeper has taken a dead one's place. gone: called instead of starting another, for a
    keeper that has no successor of its kind.
    """

    def __init__(
        self,
        *,
        obtain: Callable[[], socket.socket],
        on_event: Callable[[KeeperEvent], None],
        restored: Callable[[], Awaitable[None]],
        gone: Callable[[], None] | None = None,
    ) -> None:
        self._obtain = obtain
        self._gone = gone
        self._on_event = on_event
        self._restored = restored
        self._channel: socket.socket | None = None
        self._last = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._outgoing: deque[tuple[bytes, list[int]]] = deque()
        self._parked: dict[int, tuple[bytes, list[int]]] = {}
        self._restarting: asyncio.Task[None] | None = None
        self._closed = False
        self._hopeless = False
        self._restoring: object | None = None
        """Marks, in its context, the task that hands the guests over."""
        self._watch = KeeperWatch(ping=self._ping, wake=self._wake, replace=self._replace, late=self._late)
        self.restarts = 0
        """How many keepers have died under this daemon."""

    @property
    def connected(self) -> bool:
        return self._channel is not None

    @property
    def keeper_pid(self) -> int | None:
        """The living keeper's process, None while there is none."""
        return None if self._channel is None else listening_pid(self._channel)

    async def start(self) -> None:
        """Connect to the keeper; one that does not answer is replaced.

        Raises: KeeperError if there is none and none can be started.
        """
        self._take(await in_own_thread(self._obtain))
        with suppress(KeeperError):  # one that refuses is alive, and one that is silent is being replaced now
            (await self.answer(self.ask(Verb.PING, {}, {}))).close()
        if self._restarting is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._restarting), _FIRST_REPLACEMENT)
        if not self.connected:
            raise KeeperError("the keeper does not answer, and no other can be started: its log says why")

    async def close(self, *, quit_keeper: bool = False) -> None:
        """Leave the keeper alone from now on; quit_keeper: tell it to end, which it does only if it holds nothing."""
        self._closed = True
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        if quit_keeper and self.connected:
            try:
                await asyncio.wait_for(self.answer(self.ask(Verb.QUIT, {}, {})), 5)
            except (KeeperError, TimeoutError) as error:
                _logger.debug("the keeper did not confirm its end: %s", error)
        self._give_up("insulad leaves the keeper")

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        """See `KeeperLink.ask`. While a dead keeper is being replaced, the request waits for the new one.

        Raises: OSError for a descriptor that is closed already: that is no fault of the keeper's.
        """
        if min(fds.values(), default=0) < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), f"what was to go with '{verb.value}'")
        restores = self._restoring is not None and _RESTORER.get() is self._restoring
        if self._channel is None and restores:
            raise KeeperError("the new keeper died while it was given its guests")
        if self._channel is None and (self._restarting is None or self._hopeless):
            raise KeeperError("there is no keeper, and none can be started: its log says why")
        self._last += 1
        encoded = encode({"request": self._last, "verb": verb.value, **body}, fds)
        self._waiting[self._last] = asyncio.get_running_loop().create_future()
        self._watch.asked(self._last, verb)
        if self._channel is None or (self._restoring is not None and not restores):
            self._parked[self._last] = encoded, list(map(os.dup, fds.values()))
        elif self._outgoing or not self._sent(self._channel, encoded, list(fds.values())):
            self._outgoing.append((encoded, list(map(os.dup, fds.values()))))
        return self._last

    async def answer(self, number: int) -> Message:
        """See `KeeperLink.answer`."""
        waiter = self._waiting.get(number)
        if waiter is None:
            raise KeeperError("the keeper died before it answered")
        try:
            message = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().close()
            raise
        finally:
            self._waiting.pop(number, None)
            self._watch.answered(number)
        raise_error(message)
        return message

    def _take(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._watch.heard()
        asyncio.get_running_loop().add_reader(channel, self._read)

    def _write(self) -> None:
        """Send what waits; what the keeper does not take now goes when it does."""
        while self._outgoing and self._channel is not None:
            encoded, fds = self._outgoing[0]
            if not self._sent(self._channel, encoded, fds):
                return
            self._outgoing.popleft()
            close_all(fds)
        if self._channel is not None:
            asyncio.get_running_loop().remove_writer(self._channel)

    def _sent(self, channel: socket.socket, encoded: bytes, fds: list[int]) -> bool:
        """Send a message; return whether the keeper took it. Else it is to wait for `_write`, or for the end."""
        loop = asyncio.get_running_loop()
        try:
            send_encoded(channel, encoded, fds)
        except BlockingIOError:
            loop.add_writer(channel, self._write)
            return False
        except OSError as error:
            loop.remove_writer(channel)
            loop.call_soon(self._lost, f"the keeper does not take requests: {error.strerror}")
            return False
        return True

    def _read(self) -> None:
        for _ in range(_MESSAGES_A_TURN):
            if self._channel is None:
                return
            try:
                received = receive_encoded(self._channel)
                message = None if received is None else decode(*received)
            except BlockingIOError:
                return
            except ValueError as error:
                self._lost(f"the keeper cannot be understood: {error}")
                return
            except ConnectionError:
                message = None
            if message is None:
                self._lost("the keeper is gone")
                return
            self._watch.heard()
            self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        if "event" in message.body:
            self._on_event(KeeperEvent(message.body))
            return
        waiter = self._waiting.get(message.body.get("answer", 0))
        if waiter is None or waiter.done():
            message.close()  # the answer to a request whose asker gave up
        else:
            waiter.set_result(message)

    def _ping(self) -> None:
        """Ask for any word; nobody waits for this one."""
        if self._channel is not None and not self._outgoing:
            self._last += 1
            request = {"request": self._last, "verb": Verb.PING.value}
            self._outgoing.append((encode(request, ()), []))
            self._write()

    def _wake(self) -> None:
        _logger.warning("the keeper does not answer: in case it was stopped, it is told to go on")
        self._signal(signal.SIGCONT)

    def _replace(self) -> None:
        """End a keeper that says nothing; its end is noticed as any, and another takes its place."""
        if self._channel is not None:
            _logger.error("the keeper does not answer and is killed")
            self._signal(signal.SIGKILL)
            self._lost("the keeper did not answer")

    def _signal(self, number: signal.Signals) -> None:
        pid = self.keeper_pid
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _late(self, number: int) -> None:
        """Let somebody wait no longer for an answer, which is dropped when it comes."""
        self._watch.answered(number)
        waiter = self._waiting.get(number)
        if waiter is not None and not waiter.done():
            waiter.set_exception(KeeperError("the keeper has not done in time what it was asked for"))
            waiter.exception()

    def _lost(self, text: str) -> None:
        if self._channel is None:
            return
        self._drop(text)
        if self._closed:
            return
        if self._gone is not None:
            self._closed = True
            self._watch.stop()
            _logger.error("%s; its guests live on, and are handed to another", text)
            self._gone()
        else:
            self.restarts += 1
            _logger.error("%s; its guests live on, and a new keeper is started for them", text)
            if self._restarting is None:
                self._restarting = asyncio.create_task(self._restart(), name="keeper restart")

    def _drop(self, text: str) -> None:
        if self._channel is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._channel)
            loop.remove_writer(self._channel)
            self._channel.close()
            self._channel = None
        for _, fds in self._outgoing:
            close_all(fds)
        self._outgoing.clear()
        asked = [number for number in self._waiting if number not in self._parked]
        for waiter in [self._waiting.pop(number) for number in asked]:
            if not waiter.done():
                waiter.set_exception(KeeperError(text))
                waiter.exception()  # whoever asked may have gone: that is no error
        for number in asked:
            self._watch.answered(number)

    def _unpark(self) -> None:
        """Send what was asked while there was no keeper; what nobody waits for any more is not worth it."""
        parked, self._parked = self._parked, {}
        for number, (encoded, fds) in parked.items():
            if number in self._waiting:
                self._outgoing.append((encoded, fds))
            else:
                close_all(fds)
        self._write()

    def _give_up(self, text: str) -> None:
        """Let nobody wait any longer for a keeper."""
        for _, fds in self._parked.values():
            close_all(fds)
        self._parked.clear()
        self._drop(text)
        if self._closed:
            self._watch.stop()

    async def _restore(self) -> None:
        """Have the guests handed over, before anybody else is served."""
        self._restoring = object()
        token = _RESTORER.set(self._restoring)
        try:
            await self._restored()
        finally:
            _RESTORER.reset(token)
            self._restoring = None

    async def _restart(self) -> None:
        attempt = 0
        while self._channel is None:
            await asyncio.sleep(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)])
            attempt += 1
            try:
                self._take(await in_own_thread(self._obtain))
                await self._restore()
                if self._channel is not None:
                    self._unpark()
            except Exception as error:  # whatever it was, guests need a keeper: try again
                _logger.error("attempt %d to start a keeper failed: %s", attempt, error)
                self._drop(str(error))
                self._hopeless = attempt >= PATIENT_ATTEMPTS
                if self._hopeless:
                    self._give_up(str(error))
        self._restarting = None
        self._hopeless = False
        _logger.warning("a new keeper serves after %d attempts", attempt)
