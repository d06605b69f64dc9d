"""The first process of a guest, from its starting in the keeper's image to the exec of the guest's init.

It is a fork of the keeper: it imports nothing, says what happens to it over one channel, and never returns.
"""

import json
import os
import resource
import signal
import socket
from typing import Any, NoReturn

from insula.engine.keeper.children import forget_children
from insula.engine.keeper.protocol import Message, receive, send
from insula.engine.steps.guest.execution import FIRST_PASSED_FD, LAST_PASSED_FD
from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.engine.steps.guest.registry import decode_guest_step
from insula.engine.steps.guest.roottree import KeepMountsPrivate
from insula.kernel.fds import Fd, close_all, contents, keep_only

FAILED = 127
"""Exit status of a process that could not become the guest's."""
BEFORE_ANY_STEP = -1
"""The step index of a failure that no step is to blame for."""
STEPS = "steps"
"""The name of the fd of a file with the steps, as JSON: so they pass through the keeper without being read."""

Limits = tuple[int, int]
"""Soft and hard limit of fds, as they were before the keeper raised its own."""


class Progress:
    """One process's way through its steps, and its channel to the keeper. Steps are counted over all its lists."""

    def __init__(self, channel: socket.socket, limits: Limits) -> None:
        self._channel = channel
        self._index = BEFORE_ANY_STEP
        self.guest = ChildContext({}, self._tell, Fd(channel.fileno()))
        forget_children()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def _tell(self, body: dict[str, Any], fds: dict[str, int]) -> None:
        send(self._channel, body, fds)

    def perform(self, steps: list[GuestStep], staged: dict[str, str] | None = None) -> None:
        """Perform steps that execute nothing."""
        for step in steps:
            self._index += 1
            step.perform(self.guest)
            if staged and isinstance(step, KeepMountsPrivate):
                # Opened only now: these are this namespace's own copies of what the keeper has put on stage.
                for name, path in staged.items():
                    self.guest.fds[name] = Fd(os.open(path, os.O_PATH | os.O_CLOEXEC))

    def execute(self, step: GuestStep, *, hold: bool) -> NoReturn:
        """Perform the last step. The terminals' masters go to the keeper first; from then on the end of the channel
        means that the program runs. hold: wait for one more message before."""
        self._index += 1
        masters = {f"console{number}": fd for number, fd in enumerate(self.guest.terminals)}
        self._tell({"executing": True, "hold": hold}, dict(masters))
        close_all(self.guest.terminals)
        if hold and receive(self._channel) is None:
            os._exit(FAILED)
        step.perform(self.guest)
        raise RuntimeError("the last step has executed nothing")

    def fail(self, error: BaseException) -> NoReturn:
        """Tell what went wrong, with the index of the step, and end."""
        try:
            send(self._channel, {"failed": self._index, **describe(error)})
        finally:
            os._exit(FAILED)


def begin(channel: socket.socket, request: Message, limits: Limits) -> NoReturn:
    """Live the life of a guest's first process: do what needs nobody, wait for `go`, do the rest, execute."""
    _forget_the_keepers(channel, request)
    progress = Progress(channel, limits)
    try:
        progress.perform([decode_guest_step(each) for each in request.body["early"]])
        steps = _read_steps(request.fds)
        go = receive(channel)
        if go is None:
            # The launch was given up.
            os._exit(FAILED)
        progress.guest.fds.update(go.fds)
        progress.perform(steps[:-1], go.body.get("staged"))
        progress.execute(steps[-1], hold=bool(go.body.get("hold")))
    except BaseException as error:
        progress.fail(error)


def enter(channel: socket.socket, request: Message, limits: Limits) -> NoReturn:
    """Live the life of a process that enters a running guest: its steps came with the request."""
    _forget_the_keepers(channel, request)
    progress = Progress(channel, limits)
    try:
        steps = _read_steps(request.fds)
        progress.guest.fds.update(request.fds)
        progress.perform(steps[:-1])
        progress.execute(steps[-1], hold=False)
    except BaseException as error:
        progress.fail(error)


def _forget_the_keepers(channel: socket.socket, request: Message) -> None:
    """Close what came along from the keeper: should it die, its socket must not live on in us, nor others' channels.

    What the clone was made with goes too: a directory of the host's is a way out for names that the guest chooses.
    What occupies the numbers that passed descriptors will get stays: nothing of ours may come to lie there.
    """
    for name in [each for each in request.fds if each == "cgroup" or each.startswith("shared:")]:
        del request.fds[name]
    keep_only((channel.fileno(), *request.fds.values(), *range(FIRST_PASSED_FD, LAST_PASSED_FD + 1)))
    # The keeper's log is a file of the host's.
    os.dup2(0, 2)


def _read_steps(fds: dict[str, Fd]) -> list[GuestStep]:
    fd = fds.pop(STEPS)
    steps = [decode_guest_step(each) for each in json.loads(contents(fd).decode())]
    os.close(fd)
    return steps


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error's text and errno as they travel."""
    if isinstance(error, OSError) and error.errno:
        where = f": {error.filename}" if error.filename else ""
        return {"text": f"{error.strerror}{where}", "errno": error.errno}
    return {"text": f"{type(error).__name__}: {error}", "errno": 0}
