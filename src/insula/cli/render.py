"""What the command line shows: plain tables for people, JSON for programs, and nothing that commands a terminal.

Names, host names, titles, progress and errors may be what a guest or another party wrote: every line goes through here.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence

from insula.cli.neutral import neutral

_NOT_PLAIN = re.compile(r"[^\n\x20-\x7e]")


def show_json(value: object) -> None:
    """Print one JSON document; characters that are not printable are escaped as JSON has it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(_NOT_PLAIN.sub(_json_escaped, text) + "\n")


def _json_escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as their widest cell; nothing but the headings when there are no rows."""
    cells = [[_cell(each) for each in row] for row in rows]
    widths = [max(len(line[index]) for line in [list(headings), *cells]) for index in range(len(headings))]
    for line in [list(headings), *cells]:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")


def show_facts(facts: Mapping[str, object]) -> None:
    """Print `name: value` lines, names aligned; of several values each has a line."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        label = f"{neutral(name)}:"
        for each in (value or [None]) if isinstance(value, list) else [value]:
            sys.stdout.write(f"{label:<{width + 2}} {_cell(each)}\n")
            label = ""


def show_text(text: str) -> None:
    """Print lines of our own."""
    sys.stdout.write(text)


def show_line(text: str, *, now: bool = False) -> None:
    """Print one line. now: whoever reads gets it at once."""
    sys.stdout.write(neutral(text) + "\n")
    if now:
        sys.stdout.flush()


def show_error(text: str, *, of: str | None = None) -> None:
    """Print what went wrong, and with what it did, as ours; lines of the text stay lines."""
    where = "" if of is None else f"{of}: "
    sys.stderr.write(neutral(f"insula: {where}{text}", kept="\n\t") + "\n")


def show_progress(text: str) -> None:
    """Print a line of progress at once, beside the output."""
    sys.stderr.write(neutral(text) + "\n")
    sys.stderr.flush()


def exit_words(status: int) -> str:
    """How a process ended, by its wait status: `status 3`, or `signal 9`."""
    return f"status {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"


def size(number: int | None) -> str:
    """Bytes for people: 3.4 GiB."""
    if number is None:
        return "-"
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _cell(value: object) -> str:
    """One cell; a dash for nothing."""
    return "-" if value is None or value == "" else neutral(str(value))
