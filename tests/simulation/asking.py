"""Asking a simulated daemon for something, and holding what it answers against the model."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from insula.errors import InsulaError
from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.possible import Operation, Possible, Result, S


def asked(
    daemon: SimulatedDaemon,
    name: str,
    known: Possible[S],
    operation: Operation[S],
    work: Coroutine[Any, Any, None],
    *,
    say: Callable[[str], None],
    find: Callable[[AssertionError], None],
    then: Callable[[BaseException | None], None] = lambda _: None,
) -> None:
    """Have the daemon do work, and go on.

    find: called with what must not be; then: with the error of what was answered, None if it is done.
    """
    number = known.invoke(operation)
    say(f"{name}: {operation.name} is asked for ({number})")

    def answered(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            if daemon.alive:
                known.abandon(number)
            return
        error = task.exception()
        say(f"{name}: {operation.name} ({number}) {'is done' if error is None else f'failed: {error!r}'}")
        if error is not None and not isinstance(error, InsulaError | OSError):
            raise AssertionError(f"{operation.name} raised what is no error of ours: {error!r}") from error
        known.respond(number, Result.DONE if error is None else Result.FAILED)
        then(error)

    def checked(task: asyncio.Task[Any]) -> None:
        """Let what is found end the walk, not only a callback of the loop."""
        try:
            answered(task)
        except AssertionError as error:
            find(error)

    daemon.call(work, f"{operation.name} {name}").add_done_callback(checked)
