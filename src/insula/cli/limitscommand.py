"""limits: what a domain may use, what holds now, what it uses of that, and what came of it."""

import argparse
from collections.abc import Mapping
from typing import Any

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.lookup import domain
from insula.cli.render import size
from insula.sdk.blocking_domains import Host

LIMIT_FIELDS = ("name", "unit", "configured", "in_force", "used", "events", "pressure", "lacking")

_UNITS = {"microseconds": "us", "bytes a second": "B/s", "operations a second": "/s"}

LIMIT_COLUMNS = (
    Column("LIMIT", lambda row: row["name"]),
    Column("CONFIGURED", lambda row: amount(row["configured"], row["unit"])),
    Column("IN FORCE", lambda row: row["lacking"] or amount(row["in_force"], row["unit"])),
    Column("USED", lambda row: amount(row["used"], row["unit"])),
    Column("PRESSURE", lambda row: _pressure(row["pressure"])),
    Column("EVENTS", lambda row: " ".join(f"{name}={count}" for name, count in row["events"].items() if count)),
)


def amount(value: object, unit: str) -> str:
    """Return a value as people are shown it, "-" for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and unit == "bytes":
        return size(value)
    if isinstance(value, int) and unit in _UNITS:
        return f"{value} {_UNITS[unit]}"
    return " ".join(str(value).split())


def _pressure(pressure: Mapping[str, float]) -> str:
    return " ".join(f"{kind} {percent:.1f} %" for kind, percent in pressure.items())


def _limits_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("-a", "--all", action="store_true", help="those too that are not set, and those it cannot have")
    list_arguments(parser, LIMIT_FIELDS)
    parser.epilog = (
        "Configured is by the definition that counts now: of a domain that runs, what --config alone has changed "
        "counts from its next start on. Pressure is the part of the last ten seconds in which some, and all, of its "
        "work waited for that. Events are counted from its start on. JSON tells all limits."
    )


def _limits(options: argparse.Namespace, host: Host) -> int:
    rows = domain(host, options.domain).limits()
    whole = options.all or options.json or options.format == "json"
    show_list(options, rows if whole else filter(_says_something, rows), LIMIT_COLUMNS, LIMIT_FIELDS)
    return 0


def _says_something(row: Mapping[str, Any]) -> bool:
    return row["configured"] is not None or (not row["lacking"] and row["in_force"] is not None) or bool(row["used"])


ARGUMENTS = {"limits": _limits_arguments}
RUN = {"limits": _limits}
