"""A terminated test session ends as an interrupted one does: it takes its fixtures down."""

import os
import signal
from types import FrameType


def end_as_if_interrupted() -> None:
    """Let SIGTERM raise KeyboardInterrupt in this process; children that it forks end of it, as they would have.

    SIGINT is no help from outside: asyncio takes it as a wish that the running task may refuse.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    # A child forgets signals that came before it stood on its own, so none may come before it has its own answer.
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_restore)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _restore() -> None:
    if signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _unblock()
