"""ls: the list of domains."""

import argparse
from typing import Any

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.render import size
from insula.model.domainstates import SPELLED, DomainState
from insula.model.numbers import ListDomains
from insula.rpc.codes.nativecodes import ListFlags
from insula.sdk.blocking_domains import Host
from insula.sdk.values import Json

FIELDS = (
    "name",
    "uuid",
    "id",
    "state",
    "addresses",
    "memory",
    "memory_limit",
    "cpu_time",
    "begun",
    "ready",
    "health",
    "image",
    "root",
    "persistent",
    "autostart",
    "labels",
)
"""Of each domain that is listed."""

COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("STATE", lambda row: row["state"]),
    Column("ID", lambda row: row["id"]),
    Column("ADDRESS", lambda row: addresses(row["addresses"])),
    Column("MEMORY", lambda row: size(row["memory"])),
    Column("LIMIT", lambda row: size(row["memory_limit"])),
    Column("CPU TIME", lambda row: seconds(row["cpu_time"])),
    Column("IMAGE", lambda row: row["image"]),
)


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("-a", "--all", action="store_true", help="those that are off, too, as without it")
    shown.add_argument("--running", action="store_true", help="only those that run or are paused")
    list_arguments(parser, FIELDS)


def _ls(options: argparse.Namespace, host: Host) -> int:
    told = host.overview((ListDomains.ACTIVE if options.running else 0) | ListFlags.ADDRESSES)
    rows = sorted((_row(each) for each in told), key=lambda row: row["name"])
    show_list(options, rows, COLUMNS, FIELDS)
    return 0


def _row(told: Json) -> dict[str, Any]:
    """One domain's line; sizes in bytes, times in nanoseconds, None for what it has not."""
    return {field: told[field] for field in FIELDS} | {"state": SPELLED[DomainState(told["state"])]}


def addresses(found: list[str]) -> str | None:
    """The first one that people are likely to want, and whether there are more."""
    first = sorted(found, key=lambda each: ":" in each)[:1]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return f"{first[0]}{more}" if first else None


def seconds(nanoseconds: int | None) -> str | None:
    """Processor time for people."""
    return None if nanoseconds is None else f"{nanoseconds / 1e9:.1f} s"


ARGUMENTS = {"ls": _ls_arguments}
RUN = {"ls": _ls}
