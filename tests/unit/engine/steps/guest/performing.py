"""Guests made for one step, in tests."""

from typing import Any

from insula.engine.steps.guest.gueststep import ChildContext
from insula.kernel.fds import NO_FD, Fd


def silent(message: dict[str, Any], fds: dict[str, int]) -> None:
    raise AssertionError(f"nobody was to be told {message}")


def guest(*, below: int = NO_FD, **fds: int) -> ChildContext:
    """Return a guest that has these fds, and below for its root to be; it has nothing to tell."""
    made = ChildContext({name: Fd(fd) for name, fd in fds.items()}, silent)
    made.root = Fd(below)
    return made
