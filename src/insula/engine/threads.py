"""What may block for long, in a thread of its own: no pool that others need can be used up by it.

Such a thread keeps nobody from ending: not a caller that is cancelled, nor the process.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThreads(Executor):
    """Gives each call a thread of its own."""

    def submit(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()  # from here on nobody can cancel it

        def run() -> None:
            try:
                result = function(*args, **options)
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        Thread(target=run, name=getattr(function, "__name__", "call"), daemon=True).start()
        return outcome


OWN_THREADS = OwnThreads()


async def in_own_thread(function: Callable[[], T]) -> T:
    """Return what function returns, or raise what it raises. If we are cancelled, it goes on, and that is lost."""
    return await asyncio.get_running_loop().run_in_executor(OWN_THREADS, function)
