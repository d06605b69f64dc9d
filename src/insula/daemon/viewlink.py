"""The daemon's way to the machine view: finds the living one or starts one, and has guests' connections served.

    show ──► connected? told ── else ──► connect, or spawn and connect ──► told of all guests
                                                   ▲                               │
                                                   └──── end of file, or silence ──┘

A view that dies is a pause: whoever reads waits until the next one is told of the same connections, of which this
process has descriptors, and the keeper too. A view that says nothing for a while is killed and replaced.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from insula.daemon.logs import keeper_log
from insula.engine.keeper.startup import listening_pid
from insula.engine.launch.ownscopes import OwnProcess, OwnScope, placing
from insula.engine.launch.systemdscope import Manager
from insula.engine.launch.viewstartup import obtain_view
from insula.engine.machineviews import DEVICE, MEMORY
from insula.engine.steps.host.hoststep import Makings
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd, close_all
from insula.layout import Layout
from insula.view.viewedfiles import ViewedGuest
from insula.view.viewprotocol import ViewVerb, receive_words, send_words

_logger = logging.getLogger(__name__)

_PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before each attempt to start a view again; the last one is repeated."""
_PING_EVERY = 5.0
_SILENCE = 15.0
"""Seconds without a word after which a view is killed."""
_ANSWER_WITHIN = 5.0
_MESSAGES_A_TURN = 64

_Words = tuple[dict[str, Any], list[int]]


def obtain_view_of(layout: Layout, manager: Manager) -> socket.socket:
    """Return a channel to the living view of an installation, or to a new one; it may take the time of a start.

    manager: whose the host's control groups are. Raises: OperationFailedError.
    """
    log = keeper_log(layout.logs / "view.log")
    try:
        return obtain_view(
            layout.view_socket, log=log, placed=placing(manager, OwnScope(OwnProcess.VIEW, str(layout.root)))
        )
    finally:
        if log is not None:
            os.close(log)


class _ShownGuest:
    """A guest, and our own duplicates of its connection."""

    __slots__ = ("device", "guest", "memory")

    def __init__(self, guest: ViewedGuest, connection: Mapping[str, Fd]) -> None:
        """Raises: OSError."""
        self.guest = guest
        self.device = os.dup(connection[DEVICE])
        try:
            self.memory = os.dup(connection[MEMORY])
        except OSError:
            os.close(self.device)
            raise

    def close(self) -> None:
        close_all((self.device, self.memory))


class ViewSupervisor:
    """Serves `engine.machineviews.MachineViews` from the event loop.

    obtain: returns a connected SOCK_SEQPACKET socket to a view, spawning it if need be; it may block for the time a
    process takes to start, so it runs in a thread.
    """

    def __init__(self, obtain: Callable[[], socket.socket]) -> None:
        self._obtain = obtain
        self._shown: dict[str, _ShownGuest] = {}
        """By launch."""
        self._channel: socket.socket | None = None
        self._starting: asyncio.Task[None] | None = None
        self._outgoing: deque[_Words] = deque()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._silent_since: float | None = None
        self._pings: asyncio.TimerHandle | None = None
        self._closed = False
        self.restarts = 0
        """How many views have died under this daemon while guests had one."""

    @property
    def view_pid(self) -> int | None:
        """The living view's process, None while there is none."""
        return None if self._channel is None else listening_pid(self._channel)

    def prepare(self, *, wanted: bool) -> None:
        """Have a view be there before a guest needs it, if one is wanted. Returns at once."""
        if wanted:
            self._begin()

    def show(self, guest: ViewedGuest, connection: Mapping[str, Fd]) -> None:
        former = self._shown.pop(guest.launch, None)
        self._shown[guest.launch] = _ShownGuest(guest, connection)
        if former is not None:
            former.close()
        if self._channel is None:
            self._begin()
        else:
            self._tell(self._shown[guest.launch])

    def forget(self, launch: str) -> None:
        former = self._shown.pop(launch, None)
        if former is not None:
            former.close()
            self._send({"verb": ViewVerb.HIDE.value, "launch": launch})

    def tell(self, launch: str, text: str) -> None:
        """Write a line into the kernel log of a guest, if it has a view; one that is just replaced may miss it."""
        if launch in self._shown:
            self._send({"verb": ViewVerb.TELL.value, "launch": launch, "text": text})

    def serves(self, launch: str | None) -> bool:
        """Whether a guest has a view."""
        return launch in self._shown

    async def read(self, launch: str, path: str) -> str:
        """Return what a file of a guest's view says now. Raises: OperationFailedError."""
        answer = self._ask({"verb": ViewVerb.READ.value, "launch": launch, "path": path})
        try:
            body = await asyncio.wait_for(answer, _ANSWER_WITHIN)
        except TimeoutError:
            raise OperationFailedError(f"the machine view does not answer what {path} says") from None
        if "error" in body:
            raise OperationFailedError(f"the machine view does not tell {path}: {body['error']}")
        return str(body["content"])

    async def close(self, *, quit_view: bool = False) -> None:
        """Leave the view alone from now on; quit_view: tell it to end, as no guest has one."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._pings is not None:
            self._pings.cancel()
        if quit_view and self._channel is not None:
            with suppress(TimeoutError, OperationFailedError):
                await asyncio.wait_for(self._ask({"verb": ViewVerb.QUIT.value}), _ANSWER_WITHIN)
        self._drop("insulad ends")
        for each in self._shown.values():
            each.close()
        self._shown.clear()

    # Words

    def _tell(self, shown: _ShownGuest) -> None:
        self._send({"verb": ViewVerb.SHOW.value, "guest": shown.guest.encode()}, [shown.device, shown.memory])

    def _ask(self, body: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """Return what becomes the answer; it raises OperationFailedError where the view dies before."""
        waiter: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._channel is None:
            waiter.set_exception(OperationFailedError("there is no machine view at the moment"))
        else:
            self._waiting[self._last + 1] = waiter
            self._send(body)
        return waiter

    def _send(self, body: dict[str, Any], fds: list[int] | None = None) -> None:
        if self._channel is None:
            return
        self._last += 1
        words = {"request": self._last, **body}
        if self._outgoing or not self._sent(words, fds or []):
            self._outgoing.append((words, [os.dup(fd) for fd in fds or []]))

    def _sent(self, words: dict[str, Any], fds: list[int]) -> bool:
        assert self._channel is not None
        loop = asyncio.get_running_loop()
        try:
            send_words(self._channel, words, fds)
        except BlockingIOError:
            loop.add_writer(self._channel, self._write)
            return False
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                loop.call_soon(self._lost, f"the machine view takes no words: {error.strerror}")
                return True
            loop.add_writer(self._channel, self._write)  # descriptors under way: the view takes them
            return False
        return True

    def _write(self) -> None:
        while self._outgoing and self._channel is not None:
            words, fds = self._outgoing[0]
            if not self._sent(words, fds):
                return
            self._outgoing.popleft()
            close_all(fds)
        if self._channel is not None:
            asyncio.get_running_loop().remove_writer(self._channel)

    def _read(self) -> None:
        for _ in range(_MESSAGES_A_TURN):
            if self._channel is None:
                return
            try:
                message = receive_words(self._channel)
            except BlockingIOError:
                return
            except (OSError, ValueError) as error:
                self._lost(f"the machine view cannot be understood: {error}")
                return
            if message is None:
                self._lost("the machine view is gone")
                return
            message.close()
            self._silent_since = None
            self._take_answer(message.body)

    def _take_answer(self, body: dict[str, Any]) -> None:
        waiter = self._waiting.pop(int(body.get("answer") or 0), None)
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(body)
        elif "error" in body:
            _logger.error("the machine view refuses: %s", body["error"])

    # Beginnings and ends

    def _begin(self) -> None:
        if self._starting is None and not self._closed:
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="machine view")

    async def _start(self) -> None:
        attempt = 0
        try:
            while self._channel is None:
                await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1
                try:
                    self._take(await self._obtained())
                except Exception as error:  # whatever it was, guests need a view: try again
                    _logger.error("attempt %d to start the machine view failed: %s", attempt, error)
        finally:
            self._starting = None

    async def _obtained(self) -> socket.socket:
        """Return a channel to a view; if we are cancelled, it is closed once it is there."""
        makings = Makings(self._obtain, socket.socket.close)
        try:
            await in_own_thread(makings.perform)
            return makings.take()
        except BaseException:
            makings.give_up()
            raise

    def _take(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._silent_since = None
        loop = asyncio.get_running_loop()
        loop.add_reader(channel, self._read)
        for shown in list(self._shown.values()):
            self._tell(shown)
        if self._pings is not None:
            self._pings.cancel()
        self._pings = loop.call_later(_PING_EVERY, self._look)

    def _look(self) -> None:
        """Ask for a word, and end a view that has said none for long."""
        loop = asyncio.get_running_loop()
        if self._channel is None:
            return
        if self._silent_since is None:
            self._silent_since = loop.time()
        elif loop.time() - self._silent_since > _SILENCE:
            _logger.error("the machine view does not answer and is killed")
            if pid := self.view_pid:  # 0 is nobody that we know, and would be we ourselves
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._lost("the machine view did not answer")
            return
        if not self._outgoing:
            self._send({"verb": ViewVerb.PING.value})
        self._pings = loop.call_later(_PING_EVERY, self._look)

    def _lost(self, text: str) -> None:
        if self._channel is None:
            return
        self._drop(text)
        if self._closed or not self._shown:
            return  # it has ended because nobody needed it
        self.restarts += 1
        _logger.error("%s; guests that read of their machine wait for the next", text)
        self._begin()

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
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(OperationFailedError(text))
                waiter.exception()  # whoever asked may have gone: that is no error
