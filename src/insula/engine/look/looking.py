"""Asking the looker: the daemon's face, on the event loop; that of a program without a daemon is `privatelooker`.

A look has a deadline. A child that does not end with it is left behind, killed: it ends with its guest, and until then
every further look into that guest fails at once.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from insula.engine.keeper.protocol import Message, receive, send
from insula.engine.readiness import until_readable
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationTimeoutError
from insula.kernel.fds import NO_FD, Fd, close_all
from insula.kernel.process import has_ended

PATIENCE = 5.0
"""Seconds a look may take: what answers at all answers within milliseconds."""
BEGINNING = 30.0
"""Seconds a looker may take to begin: an interpreter's start, on the busiest of hosts."""
_LOOKS_AT_ONCE = 32
_LEFT_BEHIND_MAX = 256
"""Children that did not end, over all guests."""
_DYING = 0.2
"""Seconds in which a killed child ends, if nothing holds it."""
_ENDING = 2.0
"""Seconds the looker has to end when we do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """Where to look. whose: the guest's UUID; name: what errors call it, such as "domain 'web'"; mount: of its root, as
    the host made it, if what lies there can be read without waiting (`kernel.localfiles`)."""

    whose: str
    name: str
    mount: int | None = None

    def no_answer(self) -> OperationTimeoutError:
        return OperationTimeoutError(f"the file system of {self.name} does not answer; destroy ends it all the same")


class LookerGoneError(OperationFailedError):
    """The looker has ended, or made no child."""


def start_looker() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start a looker that ends with the channel; return both at once. Raises: OperationFailedError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _CODE, str(theirs.fileno())],
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise OperationFailedError(f"the process that looks into guests cannot be started: {error}") from error
    return ours, process


def await_beginning(channel: socket.socket) -> None:
    """Wait until the looker at the other end has begun, so that no look's time passes with that.

    Raises: LookerGoneError; OperationFailedError if it does not begin in time.
    """
    channel.settimeout(BEGINNING)
    try:
        said = receive(channel)
    except TimeoutError as error:
        raise OperationFailedError("the process that looks into guests does not begin") from error
    except (OSError, ValueError):
        said = None
    if said is None:
        raise LookerGoneError("the process that looks into guests ended before it began")
    said.close()


def begun_looker() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start a looker and wait until it has begun. Raises: OperationFailedError."""
    channel, process = start_looker()
    try:
        await_beginning(channel)
    except BaseException:
        channel.close()
        process.kill()
        process.wait()
        raise
    return channel, process


_CODE = "from insula.engine.look.looker import main; main()"


class Child:
    """One look under way, as seen from here; closed in the end. process: a pidfd, NO_FD until it has begun."""

    def __init__(self, channel: socket.socket, look: str, arguments: Mapping[str, Any], fds: Mapping[str, int]) -> None:
        """Raises: LookerGoneError."""
        self.answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answers.setblocking(False)
        self.process = NO_FD
        with theirs:
            try:
                send(channel, {"look": look, "arguments": arguments}, {"answer": theirs.fileno(), **fds})
            except OSError as error:
                self.answers.close()
                raise LookerGoneError(f"the process that looks into guests takes no request: {error}") from error

    def heard(self) -> Message | None:
        """Return what the child says last, None if it has not come that far. Raises: LookerGoneError."""
        while True:
            try:
                message = receive(self.answers)
            except BlockingIOError:
                return None
            except (OSError, ValueError):
                message = None
            if message is None:
                raise LookerGoneError("the process that looked into the guest died")
            if "begun" not in message.body:
                return message
            self.process = message.fds.pop("process")

    def kill(self) -> Fd | None:
        """Kill it; return its pidfd, which is the caller's then, if it does not end at once."""
        if self.process < 0:
            with suppress(OSError, LookerGoneError):  # its first word may have come this very moment
                if (message := self.heard()) is not None:
                    message.close()
        if self.process < 0:
            return None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)
        if has_ended(self.process):
            return None
        process, self.process = self.process, NO_FD
        return process

    def close(self) -> None:
        self.answers.close()
        if self.process >= 0:
            close_all([self.process])
            self.process = NO_FD


def seen(answer: Message) -> Any:
    """Return the result that an answer carries. Raises: OSError or OperationFailedError, whichever it carries."""
    answer.close()
    error = answer.body.get("error")
    if error is None:
        return answer.body.get("result")
    if error.get("errno"):
        raise OSError(error["errno"], error["text"])
    raise OperationFailedError(error["text"])


def end_looker(process: "subprocess.Popen[bytes]") -> None:
    """See a looker end whose channel is closed; it never waits for anything itself."""
    try:
        process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(slots=True)
class _GuestLooks:
    """The looks into one guest. users: who looks or waits to; left: the child that did not end."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    left: Fd | None = None

    def settled(self) -> bool:
        """Whether no child of an earlier look is left."""
        if self.left is not None and has_ended(self.left):
            os.close(self.left)
            self.left = None
        return self.left is None

    async def settles(self) -> bool:
        """Whether no child is left, once one that can end has had the time to."""
        if self.left is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_DYING):
                    await until_readable(self.left)
        return self.settled()


class Looker:
    """Looks into guests, one look at a time for each, without ever waiting longer than it says."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._turns: dict[str, _GuestLooks] = {}

    async def look(
        self,
        sight: Sight,
        look: str,
        arguments: Mapping[str, Any],
        fds: Mapping[str, int],
        *,
        seconds: float | None = PATIENCE,
    ) -> Any:
        """Return what a look of `looks.LOOKS` sees. The fds stay the caller's; seconds: for the look itself, None for
        one that takes as long as it takes, whose caller gives it up: it takes nobody's place.

        Raises: OperationTimeoutError if the guest's file system does not answer; the OSError that the look raised;
        OperationFailedError for any other reason.
        """
        async with self._turn(sight) as turn, nullcontext() if seconds is None else self._places:
            if not await turn.settles():
                raise sight.no_answer()
            return seen(await self._answer(turn, sight, (look, arguments, fds), seconds))

    async def close(self) -> None:
        """End the looker. What is left of looks ends with the guests."""
        for turn in self._turns.values():
            close_all([turn.left] if turn.left is not None else [])
        self._turns.clear()
        await self._drop()

    @asynccontextmanager
    async def _turn(self, sight: Sight) -> AsyncIterator[_GuestLooks]:
        self._forget_settled()
        turn = self._turns.setdefault(sight.whose, _GuestLooks())
        turn.users += 1
        try:
            async with turn.lock:
                yield turn
        finally:
            turn.users -= 1

    def _forget_settled(self) -> None:
        for whose in [each for each, turn in self._turns.items() if not turn.users and turn.settled()]:
            del self._turns[whose]
        if sum(turn.left is not None for turn in self._turns.values()) >= _LEFT_BEHIND_MAX:
            raise OperationFailedError(f"the file systems of {_LEFT_BEHIND_MAX} guests do not answer: destroy those")

    async def _answer(
        self,
        turn: _GuestLooks,
        sight: Sight,
        request: tuple[str, Mapping[str, Any], Mapping[str, int]],
        seconds: float | None,
    ) -> Message:
        child = await self._child(request)
        answered = False
        try:
            async with asyncio.timeout(BEGINNING if seconds is None else seconds):
                while (answer := child.heard()) is None and not (seconds is None and child.process >= 0):
                    await until_readable(child.answers.fileno())
            while answer is None and (answer := child.heard()) is None:
                await until_readable(child.answers.fileno())
            answered = True
            return answer
        except TimeoutError:
            if child.process < 0:
                # It is not the guest that does not answer.
                await self._drop()
                raise OperationFailedError("the process that looks into guests does not answer") from None
            raise sight.no_answer() from None
        finally:
            if not answered:
                turn.left = child.kill()
            child.close()

    async def _child(self, request: tuple[str, Mapping[str, Any], Mapping[str, int]]) -> Child:
        """Begin a look, by a new looker if the one before has died."""
        channel = await self._started()
        try:
            return Child(channel, *request)
        except LookerGoneError:
            await self._drop()
            return Child(await self._started(), *request)

    async def _started(self) -> socket.socket:
        async with self._starting:
            if self._channel is None:
                channel, self._process = await in_own_thread(begun_looker)
                channel.setblocking(False)
                self._channel = channel
            return self._channel

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel is not None:
            channel.close()
        if process is not None:
            with suppress(InsulaError):
                await in_own_thread(lambda: end_looker(process))
