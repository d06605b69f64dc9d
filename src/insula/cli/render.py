"""What the command line shows: plain tables for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence


def show_json(value: object) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as their widest cell; nothing but the headings when there are no rows."""
    cells = [[_cell(each) for each in row] for row in rows]
    widths = [max(len(line[index]) for line in [list(headings), *cells]) for index in range(len(headings))]
    for line in [list(headings), *cells]:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")


def show_facts(facts: Mapping[str, object]) -> None:
    """Print `name: value` lines, names aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        sys.stdout.write(f"{name + ':':<{width + 2}} {_cell(value)}\n")


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
    """One cell; control characters are shown escaped, since names and titles may come from others."""
    if value is None or value == "":
        return "-"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(value))
