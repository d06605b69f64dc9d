"""What may block for long, in a thread of its own: no pool that others need can be used up by it.

Such a thread keeps nobody from ending: not a caller that is cancelled, nor the process. One that has done its call
waits a little for the next, for to begin a thread takes as long as most of what they do.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE = 5.0
"""Seconds after which a thread without a call ends."""


class OwnThreads(Executor):
    """Gives each call a thread that does nothing else meanwhile, however many there are."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Callable[[], None]]] = []
        """The queues of threads without a call, each for one."""
        os.register_at_fork(after_in_child=self._idle.clear)  # a child has none of them

    def submit(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()  # from here on nobody can cancel it
        try:
            calls = self._idle.pop()
        except IndexError:
            calls = SimpleQueue()
            Thread(target=self._work, args=(calls,), name="own thread", daemon=True).start()

        def call() -> None:
            try:
                result = function(*args, **options)
            except BaseException as error:
                self._idle.append(calls)  # before the outcome is known: the next call comes when it is
                outcome.set_exception(error)
            else:
                self._idle.append(calls)
                outcome.set_result(result)

        calls.put(call)
        return outcome

    def _work(self, calls: "SimpleQueue[Callable[[], None]]") -> None:
        while True:
            try:
                calls.get(timeout=_IDLE)()
            except Empty:
                try:
                    self._idle.remove(calls)
                except ValueError:
                    continue  # the next call is on its way
                return


OWN_THREADS = OwnThreads()


async def in_own_thread(function: Callable[[], T]) -> T:
    """Return what function returns, or raise what it raises. If we are cancelled, it goes on, and that is lost."""
    return await asyncio.get_running_loop().run_in_executor(OWN_THREADS, function)
