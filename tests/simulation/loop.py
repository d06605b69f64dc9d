"""An event loop for one simulated process: virtual time, and an order of events that a seed decides.

Callbacks that are ready run in the order they came, as asyncio promises and the daemon relies on. What comes from
outside (messages, threads, clients, the guests' doings, deaths) comes between any two of them, as the seed has it.

It offers what the daemon uses of asyncio and nothing else. Threads are events: what one does happens at one instant,
and that it is done becomes known at a later one. Sockets are objects that call back (`channel.py`); other descriptors
are real ones, which are looked at after everything that happens outside, and when nothing else is to be done.
"""

import asyncio
import heapq
import itertools
import select
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar, cast

from tests.simulation.world import World

T = TypeVar("T")


class KilledError(BaseException):
    """The process was ended here. No handler of errors sees it as one of its own, and what it does has no effect."""


class HeldUpError(BaseException):
    """A thread waits in the kernel, before it has changed anything; it is run again when it may go on."""

    def __init__(self, when_free: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self.when_free = when_free


class Watchable(Protocol):
    """A simulated socket, which calls these when there is something to do."""

    on_readable: Callable[[], None] | None

    def announce(self) -> None:
        """Call on_readable soon, if there is something to be read."""


class SimulatedTask(asyncio.Task[T]):
    """A task whose place in a set does not depend on where it lies in memory."""

    serial = 0

    def __hash__(self) -> int:
        return self.serial


class SimulatedFuture(asyncio.Future[T]):
    """A future, likewise."""

    serial = 0

    def __hash__(self) -> int:
        return self.serial


class SimulatedLoop:
    """The loop of one process; asyncio's running one from its making to its end, as there is one process at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = cast("asyncio.AbstractEventLoop", self)
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._serial = itertools.count(1)
        self._tasks: dict[int, SimulatedTask[Any]] = {}
        self._watched: dict[int, Callable[[], None]] = {}
        self._called: set[int] = set()
        """Watched descriptors that can be read, whose callbacks are about to run."""
        self._poll = select.poll()
        self._looked = -1
        """How much had happened outside when descriptors were last looked at."""
        self._polls: dict[int, select.epoll] = {}
        """What watches more descriptors for the process, by its own."""
        self.alive = True
        self.failures: list[str] = []
        """What was raised and reached nobody."""
        events._set_running_loop(self._loop)

    # Running

    def turn(self, horizon: float) -> bool:
        """Let one thing happen, here or outside; return False if nothing is due up to horizon (virtual seconds)."""
        world, ready, timers = self._world, self._ready, self._timers
        if timers:
            self._wake_timers()
        if self._watched and (not ready or world.happened != self._looked):
            self._looked = world.happened
            self._look_at_descriptors()
        event = world.next_event()
        if ready and (event is None or event > world.now):
            handle = ready.popleft()
            if not handle._cancelled:
                before, world.actor = world.actor, self
                try:
                    handle._run()
                finally:
                    world.actor = before
                world.spend()
            return True
        timer = timers[0][0] if timers else None
        due = timer if event is None or (timer is not None and timer < event) else event
        if due is None or due > horizon:
            return False
        world.now = max(world.now, due)
        if due == event:
            world.happen()
        return True

    def _wake_timers(self) -> None:
        timers, now = self._timers, self._world.now
        while timers and (timers[0][0] <= now or timers[0][2]._cancelled):
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._ready.append(handle)

    def _look_at_descriptors(self) -> None:
        happened = dict(self._poll.poll(0))
        for fd in [each for each in self._watched if each in happened and each not in self._called]:
            if happened[fd] & select.POLLNVAL:
                self.failures.append(f"descriptor {fd} is watched, and closed")
                self.remove_reader(fd)
                continue
            self._called.add(fd)
            self.call_soon(self._readable, fd)

    def _readable(self, fd: int) -> None:
        self._called.discard(fd)
        if fd in self._watched:
            self._watched[fd]()

    @property
    def idle(self) -> bool:
        """Whether no callback is ready."""
        return not self._ready

    def pending(self) -> list[str]:
        """Return the names of the tasks that are not done."""
        return [task.get_name() for task in self._tasks.values() if not task.done()]

    def end(self) -> None:
        """Let the process be gone: nothing of it is called any more, and what its tasks do at their end is lost."""
        self.alive = False
        self._ready.clear()
        self._timers.clear()
        while self._tasks:  # what is thrown away may begin more at its end
            _, task = self._tasks.popitem()
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _thrown_away(task.get_coro())
        self._ready.clear()
        self._timers.clear()
        self._watched.clear()
        for each in self._polls.values():
            each.close()
        events._set_running_loop(None)

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return not self.alive

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        if self.alive:
            self._ready.append(handle)
        return handle

    def _call(self, callback: Callable[..., Any], *args: Any) -> None:
        self.call_soon(callback, *args)

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._world.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        if self.alive:
            heapq.heappush(self._timers, (when, next(self._serial), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing is to be done: it is passed over when it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        future: SimulatedFuture[Any] = SimulatedFuture(loop=self._loop)
        future.serial = next(self._serial)
        return future

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        serial = next(self._serial)
        task: SimulatedTask[T] = SimulatedTask(
            cast("Coroutine[Any, Any, T]", coro), loop=self._loop, name=name or f"task {serial}", context=context
        )
        task.serial = serial
        self._tasks[serial] = task
        task.add_done_callback(lambda done: self._tasks.pop(serial, None) and None)
        return task

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Do func at some instant, whatever threads there are, and say so at a later one."""
        future: asyncio.Future[T] = self.create_future()

        def settle(setter: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                setter(value)

        def work() -> None:
            try:
                told: tuple[Callable[[Any], None], Any] = (future.set_result, func(*args))
            except HeldUpError as held:
                held.when_free(lambda: self._world.soon(work, owner=self))
                return
            except KilledError:
                return
            except BaseException as error:
                told = (future.set_exception, error)
            self._world.soon(partial(self._call, settle, *told), owner=self)

        self._world.soon(work, owner=self)
        return future

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        if isinstance(fd, select.epoll):
            self._polls[fd.fileno()] = fd
            fd = fd.fileno()
        if isinstance(fd, int):
            self._watched[fd] = partial(callback, *args)
            self._poll.register(fd, select.POLLIN)
            return
        channel = cast("Watchable", fd)
        channel.on_readable = partial(self._call, callback, *args)
        channel.announce()

    def remove_reader(self, fd: Any) -> bool:
        if isinstance(fd, select.epoll):
            fd = fd.fileno()
            self._polls.pop(fd, None)
        if isinstance(fd, int):
            there = self._watched.pop(fd, None) is not None
            if there:
                self._poll.unregister(fd)
            return there
        channel = cast("Watchable", fd)
        there, channel.on_readable = channel.on_readable is not None, None
        return there

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> NoReturn:
        raise NotImplementedError("a simulated channel takes everything")

    def remove_writer(self, fd: Any) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.alive and not isinstance(error, KilledError):
            self.failures.append(f"{context.get('message')}: {error!r}")


def _thrown_away(coroutine: Any) -> None:
    try:
        coroutine.close()
    except BaseException:
        return  # what a process that is gone would have said
