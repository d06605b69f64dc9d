"""The look that traces a program which waits for it, and may be killed at any moment: see `engine.explain`."""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from insula.engine.codec import encode
from insula.engine.explain.calltracer import CallTracer
from insula.engine.explain.refusedcall import Trace
from insula.engine.steps.guest.tracing import GO
from insula.kernel.fds import Fd

ROOM = 768 * 1024
"""Bytes that the calls of a trace may take as they are told: what is read of them is as long as the guest likes."""


def trace_calls(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Any:
    """pid: of who waits to be traced; init: of the guest, both the host's; fd line: where it waits → a `Trace`.

    Raises: OSError if it cannot be traced.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return encode(fitting(CallTracer(arguments["pid"], arguments["init"], lambda: _let_go(fds["line"])).follow()))


def fitting(trace: Trace) -> Trace:
    """Return a trace without its earliest calls, so that it fits; the one that mattered stays."""
    kept, room = [], ROOM
    for each in sorted(trace.calls, key=lambda call: (call.mattered, call.order), reverse=True):
        room -= len(json.dumps(encode(each)))
        if room < 0:
            break
        kept.append(each)
    left = sorted(kept, key=lambda call: call.order)
    return replace(trace, calls=tuple(left), overlooked=trace.overlooked + len(trace.calls) - len(left))


def _let_go(line: Fd) -> None:
    os.write(line, GO)
