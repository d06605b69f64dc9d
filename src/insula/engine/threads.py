"""What may block for long, in a thread of its own: no pool that others need can be used up by it.

Such a thread keeps nobody from ending: not a caller that is cancelled, nor the process.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_thread(function: Callable[[], T]) -> T:
    """Return what function returns, or raise what it raises. If we are cancelled, it goes on, and that is lost."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not outcome.done():
            setter(value)

    def run() -> None:
        try:
            told: tuple[Callable[[Any], None], Any] = (outcome.set_result, function())
        except BaseException as error:
            told = (outcome.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            loop.call_soon_threadsafe(settle, *told)

    Thread(target=run, name=getattr(function, "__name__", "call"), daemon=True).start()
    return await outcome
