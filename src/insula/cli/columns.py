"""Lists that a verb prints: chosen, sorted, and as a table, JSON, CSV or lines of one's own."""

import argparse
import csv
import fnmatch
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from insula.cli.neutral import neutral
from insula.cli.render import show_json, show_table
from insula.errors import InvalidArgumentError

Row = Mapping[str, Any]
"""One thing that is listed: values as programs want them, by the names that --sort and --filter go by."""

_FIELD = re.compile(r"\{(\w+)\}")
_ESCAPES = {r"\t": "\t", r"\n": "\n"}
_FORMATS = ("table", "json", "csv")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading, and what people are shown of a row."""

    heading: str
    shown: Callable[[Row], object]


def list_arguments(parser: argparse.ArgumentParser, fields: Sequence[str]) -> None:
    """The options of every verb that lists things. fields: of their rows."""
    names = ", ".join(fields)
    example = "state=run*" if "state" in fields else f"{fields[0]}=*1*"
    labels = "; of labels label=NAME or label=NAME=VALUE" if "labels" in fields else ""
    parser.add_argument("-q", "--quiet", action="store_true", help=f"only each one's {fields[0]}")
    parser.add_argument("--json", action="store_true", help="one JSON document, as --format json")
    parser.add_argument(
        "--format",
        metavar="table|json|csv|TEXT",
        default="table",
        help=rf"how to print it; a text names fields, such as '{{{fields[0]}}}\t{{{fields[1]}}}'. Fields: {names}",
    )
    parser.add_argument(
        "--sort", metavar="FIELD[,...]", help="by these fields; one with - before it the other way round"
    )
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD[!]=PATTERN",
        help=f"only what matches, such as {example}; repeatable{labels}",
    )


def chosen_rows(options: argparse.Namespace, rows: Iterable[Row], fields: Sequence[str]) -> list[Row]:
    """Return the rows that the options' filters let through. Raises: InvalidArgumentError for unknown fields."""
    return [each for each in rows if all(_matches(each, wish, fields) for wish in options.filter)]


def show_list(
    options: argparse.Namespace, rows: Iterable[Row], columns: Sequence[Column], fields: Sequence[str]
) -> None:
    """Print the rows that the options mean, as they want them. Raises: InvalidArgumentError for unknown fields."""
    chosen = chosen_rows(options, rows, fields)
    for key in reversed((options.sort or "").split(",") if options.sort else []):
        field, reverse = _known(key.removeprefix("-"), fields), key.startswith("-")
        chosen.sort(key=partial(_ranked, field=field, reverse=reverse), reverse=reverse)
    form = "json" if options.json else options.format
    if options.quiet:
        _show_template(f"{{{fields[0]}}}", chosen, fields)
    elif form == "table":
        show_table([each.heading for each in columns], [[each.shown(row) for each in columns] for row in chosen])
    elif form == "json":
        show_json([dict(each) for each in chosen])
    elif form == "csv":
        _show_csv(chosen, fields)
    else:
        _show_template(form, chosen, fields)


def _known(field: str, fields: Sequence[str]) -> str:
    if field not in fields:
        raise InvalidArgumentError(f"there is no field '{field}'; there are {', '.join(fields)}")
    return field


def _matches(row: Row, wish: str, fields: Sequence[str]) -> bool:
    field, equals, pattern = wish.partition("=")
    wanted = not field.endswith("!")
    field = field.removesuffix("!")
    if not equals:
        raise InvalidArgumentError(f"'{wish}' is no filter; give FIELD=PATTERN, such as {fields[0]}=web*")
    if field == "label" and "labels" in fields:
        name, has_value, value = pattern.partition("=")
        labels: Mapping[str, str] = row["labels"]
        return (name in labels and (not has_value or fnmatch.fnmatchcase(labels[name], value))) is wanted
    return any(fnmatch.fnmatchcase(text, pattern) for text in _texts(row[_known(field, fields)])) is wanted


def _texts(value: object) -> list[str]:
    """What a pattern is held against: each of several values."""
    return [_text(each) for each in value] or [""] if isinstance(value, list) else [_text(value)]


def _text(value: object) -> str:
    """A value as programs read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={each}" for name, each in value.items())
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _ranked(row: Row, *, field: str, reverse: bool) -> tuple[bool, float, str]:
    return _rank(row[field], reverse=reverse)


def _rank(value: object, *, reverse: bool) -> tuple[bool, float, str]:
    """What there is comes before what there is not, numbers go by their size, everything else by its text.

    reverse: the order is turned round; what there is not comes last even so.
    """
    missing = (value is None) is not reverse
    if isinstance(value, bool) or not isinstance(value, int | float):
        return missing, 0.0, _text(value)
    return missing, float(value), ""


def _show_csv(rows: Sequence[Row], fields: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([neutral(_text(row[field])) for field in fields] for row in rows)


def _show_template(template: str, rows: Sequence[Row], fields: Sequence[str]) -> None:
    if not _FIELD.search(template):
        raise InvalidArgumentError(
            f"'{template}' is no format; give {', '.join(_FORMATS)} or a text with fields, such as '{{{fields[0]}}}'"
        )
    for written, meant in _ESCAPES.items():
        template = template.replace(written, meant)
    pieces = _FIELD.split(template)  # text, field, text, ...
    known = [_known(each, fields) for each in pieces[1::2]]
    for row in rows:
        values = iter(neutral(_text(row[each])) for each in known)
        sys.stdout.write("".join(each if place % 2 == 0 else next(values) for place, each in enumerate(pieces)) + "\n")
