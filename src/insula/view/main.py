"""The view as a process: `insula-view`, one for all guests of an installation.

    python -I -c "from insula.view.main import main; main()" --listen-fd N [--ready-fd N] [--detach]

It must be executed sealed (`kernel.sealing`). It sees the kernel's file systems, read-only, and nothing else of the
host (`view.quarters`), cannot be traced, and writes nothing but answers. What it had taken when it ends is answered by
the next, which is given the same connections (`view.requestnotes`).
"""

import gc
import logging
import os
import resource
import signal
import socket
import sys
import traceback

from insula.kernel.ordinary import become_ordinary
from insula.kernel.process import set_dumpable, set_name
from insula.kernel.standardstreams import above_standard, occupy_standard_streams
from insula.view.quarters import give_up_powers, move_in
from insula.view.viewedfiles import ViewedContent
from insula.view.viewserver import ViewServer

_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""What no terminal and no peer shall end it by."""


def main(arguments: list[str] | None = None) -> None:
    """Become the view. Exits the process; what went wrong at the start is printed."""
    occupy_standard_streams()
    try:
        _serve(_ViewOptions(sys.argv[1:] if arguments is None else arguments))
    except Exception:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class _ViewOptions:
    """What the command line says. listen: a SOCK_SEQPACKET socket; ready: where to write a byte when all is set up."""

    __slots__ = ("detach", "listen", "ready")

    def __init__(self, arguments: list[str]) -> None:
        """Raises: ValueError."""
        self.listen = self.ready = -1
        self.detach = False
        waiting = list(arguments)
        while waiting:
            option = waiting.pop(0)
            if option == "--detach":
                self.detach = True
            elif option == "--listen-fd":
                self.listen = int(waiting.pop(0))
            elif option == "--ready-fd":
                self.ready = int(waiting.pop(0))
            else:
                raise ValueError(f"the view has no option {option}")
        if self.listen < 0:
            raise ValueError("the view needs --listen-fd")


def _serve(options: _ViewOptions) -> None:
    if options.detach and os.fork():
        os._exit(0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.socket(fileno=above_standard(options.listen))
    os.close(options.listen)
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    os.umask(0o077)
    become_ordinary()
    set_name("insula-view")
    logging.basicConfig(format="insula-view: %(levelname)s: %(message)s", level=logging.WARNING)
    content = _content()
    move_in()
    give_up_powers()
    set_dumpable(False)
    server = ViewServer(content, listener)
    signal.signal(signal.SIGTERM, lambda *_: server.leave_when_over())
    listener.listen()  # in this process: peers are told who listened last (unix(7), SO_PEERCRED)
    if options.ready >= 0:
        os.write(options.ready, b"r")
        os.close(options.ready)
    gc.collect()
    gc.freeze()
    server.run()


def _content() -> ViewedContent:
    """Return what guests' views say; opens what is needed of the host's, while it can be reached."""
    from insula.view.machinecontent import MachineContent

    return MachineContent()
