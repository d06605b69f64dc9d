"""The looker: a process of ours that looks into guests, so that nobody who is needed ever waits for a guest.

    python -I -c "from insula.engine.look.looker import main; main()" FD

    daemon                              looker                         a child for each look
      │◄────────────────────────── ready ──│
      │ look (fds: answer, …) ────────────►│ clone ───────────────────────►│ gives up what it does not need
      │◄──────────────────────────────── begun (fd: process, a pidfd) ─────│
      │◄──────────────── what it says before, if it has more to say ───────│
      │◄──────────────────────────────── result | error ───────────────────│ ends
      │ after the deadline: SIGKILL ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄►│

A guest may mount file systems whose server is its own (FUSE), and whoever walks into one waits as long as that server
likes, unkillable once it has read the request: until the guest ends. So the looker itself touches nothing of a guest,
and nobody waits for a child's end. A child holds the guest's descriptors and its end of `answer`, nothing else of
ours; it cannot be traced, gains nothing by executing, and dies with the looker, which ends with its daemon.

The messages are `engine.keeper.protocol`'s; `engine.look.looking` is the other side.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import suppress
from typing import Any, NoReturn

from insula.engine.keeper.protocol import Message, describe, receive, send
from insula.engine.look.looks import LOOKS, Look
from insula.kernel import privileges
from insula.kernel.fds import keep_only
from insula.kernel.process import CloneFlag, clone, die_with_parent, set_dumpable, set_name

RESULT_MAX = 1 << 20
"""Bytes of a result as JSON."""
_LIMITS = {
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_CORE: 0,
}
"""Of a child: bytes, descriptors."""


def main() -> None:
    """Serve the channel at the fd that the command line names, until its other end is closed."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    set_name("insula-looker")
    set_dumpable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child ended, and the kernel reaps it
    privileges.set_no_new_privileges()
    privileges.keep_only(frozenset[str]().union(*(look.capabilities for look in LOOKS.values())))
    gc.collect()
    gc.freeze()
    own_pid = os.getpid()
    with suppress(BrokenPipeError, ConnectionResetError):  # how a daemon's death is told to who sends it something
        send(channel, {"ready": True}, {})
        while (message := receive(channel)) is not None:
            try:
                pid, pidfd = clone(CloneFlag.NOTHING)
                if pid == 0:
                    _perform(message, own_pid)
                os.close(pidfd)
            except OSError as error:
                sys.stderr.write(f"insula-looker: no process for a look: {error}\n")
            finally:
                message.close()


def _perform(message: Message, looker: int) -> NoReturn:
    """Live the life of a child."""
    try:
        keep_only(message.fds.values())
        answers = socket.socket(fileno=message.fds.pop("answer"))
        die_with_parent(looker)
        _tell_process(answers)
        look = LOOKS[message.body["look"]]
        _confine(look)
        result = {"result": _told(answers, look.function(message.body["arguments"], message.fds))}
        if len(json.dumps(result)) > RESULT_MAX:
            raise ValueError(f"the result has more than {RESULT_MAX} bytes")
        send(answers, result)
    except BaseException as error:
        try:
            send(answers, {"error": describe(error)})
        finally:
            os._exit(1)
    os._exit(0)


def _told(answers: socket.socket, outcome: Any) -> Any:
    """Return a look's result, once what it says before that has been sent."""
    if not isinstance(outcome, Generator):
        return outcome
    while True:
        try:
            send(answers, next(outcome))
        except StopIteration as end:
            return end.value


def _tell_process(answers: socket.socket) -> None:
    process = os.pidfd_open(os.getpid())
    send(answers, {"begun": True}, {"process": process})
    os.close(process)


def _confine(look: Look) -> None:
    for kind, limit in (*_LIMITS.items(), (resource.RLIMIT_CPU, look.seconds)):
        resource.setrlimit(kind, (limit, limit))
    kept = look.capabilities & privileges.held().permitted
    privileges.set_held(privileges.CapabilitySets(effective=kept, permitted=kept, inheritable=frozenset()))


if __name__ == "__main__":
    main()
