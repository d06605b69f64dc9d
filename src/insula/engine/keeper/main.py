"""The keeper as a process: one small process that is the parent of every guest's init.

    python -I -c "from insula.engine.keeper.main import main; main()"
        (--listen-fd N | --channel-fd N) [--reaper-fd N] [--ends-fd N] [--ready-fd N] [--detach]

It must be executed sealed (`kernel.sealing`). It lives in a mount namespace of its own (`keeper.mountspace`), cannot be
traced, and imports only what it needs, since every guest begins as a fork of it.
"""

import gc
import os
import resource
import signal
import socket
import sys
import traceback

from insula.engine.keeper.keeper import Keeper
from insula.engine.keeper.mountspace import enter_empty_root
from insula.engine.keeper.spawner import built_program
from insula.engine.passednumbers import NEEDED_NUMBERS, move_up, reserve_numbers
from insula.kernel.ordinary import become_ordinary
from insula.kernel.process import set_dumpable, set_name
from insula.kernel.standardstreams import occupy_standard_streams


def main(arguments: list[str] | None = None) -> None:
    """Become the keeper. Exits the process; what went wrong at the start is printed."""
    occupy_standard_streams()
    try:
        _serve(_parsed(sys.argv[1:] if arguments is None else arguments))
    except Exception:
        traceback.print_exc()
        os._exit(1)


class _Options:
    """What the command line says. given: a SOCK_SEQPACKET socket; reaper: a channel to it; ends: where to write how
    guests ended that nobody has asked for; ready: where to write a byte when all is set up."""

    __slots__ = ("detach", "ends", "given", "listens", "ready", "reaper")

    def __init__(self) -> None:
        self.given = -1
        self.listens = False
        self.ready = -1
        self.reaper = -1
        self.ends = -1
        self.detach = False


def _parsed(arguments: list[str]) -> _Options:
    options = _Options()
    waiting = list(arguments)
    while waiting:
        option = waiting.pop(0)
        if option == "--detach":
            options.detach = True
        elif option == "--ready-fd":
            options.ready = int(waiting.pop(0))
        elif option == "--reaper-fd":
            options.reaper = int(waiting.pop(0))
        elif option == "--ends-fd":
            options.ends = int(waiting.pop(0))
        elif option in ("--listen-fd", "--channel-fd"):
            options.listens = option == "--listen-fd"
            options.given = int(waiting.pop(0))
        else:
            raise ValueError(f"the keeper has no option {option}")
    if options.given < 0:
        raise ValueError("the keeper needs --listen-fd or --channel-fd")
    return options


def _serve(options: _Options) -> None:
    if options.detach and os.fork():
        os._exit(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    given = socket.socket(fileno=move_up(options.given))
    reaper = None if options.reaper < 0 else socket.socket(fileno=move_up(options.reaper))
    ready = -1 if options.ready < 0 else move_up(options.ready)
    ends = -1 if options.ends < 0 else move_up(options.ends)
    reserve_numbers()
    _come_from_sealed_view()
    for ignored in IGNORED_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
    os.umask(0o022)  # of whoever started us would otherwise be the modes of what children make in guests
    if options.listens:
        become_ordinary()  # a daemon's guests; those of a program that started us itself are scheduled as it is
    set_dumpable(False)
    set_name("insula-keeper")
    spawner = built_program()
    enter_empty_root()
    # A shell may have been told that its programs need few: a process that receives what its guest is made of does not.
    keeper = Keeper((min(max(soft, NEEDED_NUMBERS), hard), hard), reaper=reaper, spawner=spawner, ends=ends)
    signal.signal(signal.SIGTERM, lambda *_: keeper.leave_when_over())
    if options.listens:
        given.listen()  # again, in this process: peers are told who listened last (unix(7), SO_PEERCRED)
        keeper.clients.listen(given)
    else:
        keeper.clients.welcome(given)
    if ready >= 0:
        os.write(ready, b"r")
        os.close(ready)
    # What is alive now stays: a collection would touch, and so copy, pages shared with children being born.
    gc.collect()
    gc.freeze()
    keeper.run(while_connected=not options.listens)


IGNORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""What no terminal and no peer shall end us by; programs of guests get them back (`Execute`)."""


def _come_from_sealed_view() -> None:
    """Have no stream that was opened outside of it, but for the log."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1):
        os.dup2(null, stream)
    os.close(null)


if __name__ == "__main__":
    main()
