"""Programs that are traced by a process of their own, for tests of what the tracer keeps."""

import json
import os
import signal
from collections.abc import Callable
from functools import partial

from insula.engine.codec import decode, encode
from insula.engine.explain.calltracer import CallTracer
from insula.engine.explain.refusedcall import Trace


def waiting(argv: tuple[str, ...], end: int) -> int:
    """Fork a process that executes a command once something comes out of a pipe; return its pid."""
    pid = os.fork()
    if pid == 0:
        if not os.read(end, 1):
            os._exit(125)
        os.execv(argv[0], argv)
    return pid


def let_go(pipe: int) -> None:
    """Let who waits for a pipe go on."""
    os.write(pipe, b"!")


def in_process(work: Callable[[], Trace]) -> Trace:
    """Return what comes of work in a process that may wait for any child of its own."""
    reader, writer = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        os.close(reader)
        try:
            os.write(writer, json.dumps(encode(work())).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    os.waitpid(tracer, 0)
    return decode(Trace, json.loads(said))


def traced(*argv: str) -> Trace:
    """Trace a command to its end."""

    def work() -> Trace:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end, go = os.pipe()
        pid = waiting(argv, end)
        return CallTracer(pid, os.getpid(), partial(let_go, go)).follow()

    return in_process(work)
