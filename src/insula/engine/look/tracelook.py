"""The look that traces a program which waits for it, and may be killed at any moment: see `engine.explain`."""

import os
import signal
from collections.abc import Mapping
from typing import Any

from insula.engine.codec import encode
from insula.engine.explain.calltracer import CallTracer
from insula.engine.steps.guest.tracing import GO
from insula.kernel.fds import Fd


def trace_calls(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Any:
    """pid: of who waits to be traced; init: of the guest, both the host's; fd line: where it waits → a `Trace`.

    Raises: OSError if it cannot be traced.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return encode(CallTracer(arguments["pid"], arguments["init"], lambda: _let_go(fds["line"])).follow())


def _let_go(line: Fd) -> None:
    os.write(line, GO)
