"""The verb top: a live picture on a terminal, tables or JSON for scripts."""

import argparse
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from insula.cli.columns import chosen_rows, list_arguments, show_list
from insula.cli.terminal import is_terminal, raw, read_some, waking, window_size, write_all
from insula.cli.usagesamples import COLUMNS, FIELDS, Sample, named, of_these, rates, sample
from insula.errors import InvalidArgumentError
from insula.sdk.blocking_domains import Host

_FIRST_SECONDS = 1.0
"""After which there is a first picture, if the delay is longer."""
_KEY_SECONDS = 0.05
"""In which all of a key's bytes come."""
_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
"""The other screen, without a cursor; and back. Source: xterm's control sequences."""
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _top_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="*", metavar="domain", help="names (default: all that run)")
    parser.add_argument(
        "-d", "--delay", type=float, default=2.0, help="seconds between pictures (default: %(default)g)"
    )
    parser.add_argument("-n", "--count", type=int, help="end after so many pictures (default: 1 without a terminal)")
    parser.add_argument("--once", action="store_true", help="print one table, as --batch --count 1")
    parser.add_argument("--batch", action="store_true", help="print table after table, for scripts")
    list_arguments(parser, FIELDS)
    parser.set_defaults(sort="-cpu,-memory")
    parser.epilog = (
        "On a terminal keys change the picture: c, m, i, n, p, t put guests in the order of processor time, memory, "
        "disks, networks, pressure, tasks; a by name; r turns it round; space stops it; + and - make it slower and "
        "faster; arrows and pages scroll; q ends it."
    )


def _top(options: argparse.Namespace, host: Host) -> int:
    if not 0.1 <= options.delay <= 3600:
        raise InvalidArgumentError(f"a delay of {options.delay:g} s: give 0.1 to 3600 seconds")
    if options.count is not None and options.count < 1:
        raise InvalidArgumentError(f"{options.count} pictures: give 1 or more, or leave --count out")
    names = named(options.domains, host)
    printed = options.once or options.batch or options.json or options.quiet or options.format != "table"
    if not printed and is_terminal(0) and is_terminal(1):
        return _watched(options, host, names)
    count = 1 if options.once else options.count
    if count is None and not options.batch and not is_terminal(1):
        count = 1
    pictures = _pictures(host, names, options.delay)
    done = 0
    while count is None or done < count:
        show_list(options, next(pictures), COLUMNS, FIELDS)
        sys.stdout.flush()
        done += 1
    return 0


def _pictures(host: Host, names: frozenset[str], delay: float) -> Iterator[list[dict[str, Any]]]:
    """Rows, again and again, each time of what happened since the last."""
    reading = _UsageReading(host, names)
    pause = min(_FIRST_SECONDS, delay)
    while True:
        time.sleep(pause)
        yield reading.rows()
        pause = delay


class _UsageReading:
    """What guests have taken, and what they take between two looks."""

    def __init__(self, host: Host, names: frozenset[str]) -> None:
        self._host, self._names = host, names
        self._before: Sample = sample(host)
        self._moment = time.monotonic()

    def rows(self) -> list[dict[str, Any]]:
        """What was taken since the last call."""
        now, moment = sample(self._host), time.monotonic()
        rows = rates(self._before, now, max(1e-3, moment - self._moment))
        self._before, self._moment = now, moment
        return of_these(self._names, rows)


def _watched(options: argparse.Namespace, host: Host, names: frozenset[str]) -> int:
    """Show it on the terminal until a key or a signal ends it, which finds the terminal as it was."""
    from insula.cli.topscreen import ORDERS, TopScreen  # what draws takes long to import

    first = options.sort.split(",")[0].removeprefix("-")
    order = next((key for key, each in ORDERS.items() if each.words == first), "c")
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    screen = TopScreen(order=order, delay=options.delay, plain=plain)
    reading = _UsageReading(host, names)
    left = options.count
    number = 0
    with waking(signal.SIGWINCH, *_ENDING) as woken, _other_screen():
        due = time.monotonic() + min(_FIRST_SECONDS, screen.delay)
        _draw(screen.picture)
        while not screen.ended and not number:
            if not screen.paused and time.monotonic() >= due:
                screen.take(chosen_rows(options, reading.rows(), FIELDS))
                due = time.monotonic() + screen.delay
                _draw(screen.picture)
                left = None if left is None else left - 1
                if left == 0:
                    break
            number = _waited(screen.press, woken, None if screen.paused else max(0.0, due - time.monotonic()))
            due = min(due, time.monotonic() + screen.delay)
            _draw(screen.picture)
    if number:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 0


@contextlib.contextmanager
def _other_screen() -> Iterator[None]:
    """Have the terminal's other screen and its keys one by one, until the block ends, however it ends."""
    with raw(0):
        try:
            write_all(_ENTER)
            yield
        finally:
            with contextlib.suppress(OSError):  # the terminal may be gone
                write_all(_LEAVE)


def _draw(picture: Callable[[int, int], Sequence[str]]) -> None:
    lines = picture(*window_size(1))
    drawn = "\r\n".join(f"{each}\x1b[K" for each in lines)
    with contextlib.suppress(OSError):  # a terminal that has gone says so to who reads it
        write_all(f"\x1b[H{drawn}\x1b[J".encode(sys.stdout.encoding or "ascii", "replace"))


def _waited(press: Callable[[str], None], woken: int, seconds: float | None) -> int:
    """Wait for keys, a signal or the time; return the number of a signal that ends us, else 0."""
    ready, _, _ = select.select([0, woken], [], [], seconds)
    if woken in ready:
        ending = [number for number in os.read(woken, 64) if number in _ENDING]
        if ending:
            return ending[0]
    if 0 in ready:
        data = read_some(0)
        if not data:
            return signal.SIGHUP
        while data == b"\x1b" and select.select([0], [], [], _KEY_SECONDS)[0]:
            data += read_some(0)
        for key in keys_in(data.decode("utf-8", "replace")):
            press(key)
    return 0


def keys_in(text: str) -> Iterator[str]:
    """Return single keys of what was typed: characters, and sequences that begin with an escape."""
    rest = text
    while rest:
        length = 1
        if rest.startswith("\x1b["):
            length = next((at + 1 for at, each in enumerate(rest) if at >= 2 and "@" <= each <= "~"), len(rest))
        elif rest.startswith("\x1bO"):
            yield f"\x1b[{rest[2:3]}"
            rest = rest[3:]
            continue
        yield rest[:length]
        rest = rest[length:]


ARGUMENTS = {"top": _top_arguments}
RUN = {"top": _top}
