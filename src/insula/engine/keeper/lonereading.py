"""How the keeper reads a console while no daemon does: all that comes, but not faster than is its to pay for."""

from contextlib import suppress

from insula.engine.keeper.eventloop import NEWLY_READABLE, EventLoop
from insula.engine.keeper.held import HeldConsole


def read_alone(loop: EventLoop, console: HeldConsole) -> None:
    """Take in what is printed, until the loop watches the console's master no more."""

    def again() -> None:
        console.pause = 0.0
        # The number may be another descriptor's by now: to wait for that one's edges would be to miss what it says.
        if loop.is_watched_by(console.master, drain):
            loop.rewatch(console.master, NEWLY_READABLE)

    def drain(_: int) -> None:
        if console.pause:
            return
        more = console.drain()
        if console.pause:
            loop.after(console.pause, again)
        elif more:
            again()

    console.pause = 0.0
    # By edges: a terminal that no process inside has open is hung up all the time. A descriptor that one cannot wait
    # for is no terminal, and not read.
    with suppress(OSError):
        loop.watch(console.master, NEWLY_READABLE, drain)
