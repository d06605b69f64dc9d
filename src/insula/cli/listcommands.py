"""Verbs that only look: ls, info."""

import argparse
import time
from typing import Any

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.lookup import domain
from insula.cli.render import show_facts, show_json, size
from insula.model.domainstates import DomainState
from insula.model.numbers import ListDomains
from insula.rpc.codes.nativecodes import ListFlags
from insula.sdk.blocking_domains import Host
from insula.sdk.values import Json

STATES = {
    DomainState.NOSTATE: "no state",
    DomainState.RUNNING: "running",
    DomainState.BLOCKED: "idle",
    DomainState.PAUSED: "paused",
    DomainState.SHUTDOWN: "in shutdown",
    DomainState.SHUTOFF: "shut off",
    DomainState.CRASHED: "crashed",
    DomainState.PMSUSPENDED: "pmsuspended",
}
"""As virsh prints them."""


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
    return {field: told[field] for field in FIELDS} | {"state": STATES[DomainState(told["state"])]}


def addresses(found: list[str]) -> str | None:
    """The first one that people are likely to want, and whether there are more."""
    first = sorted(found, key=lambda each: ":" in each)[:1]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return f"{first[0]}{more}" if first else None


def seconds(nanoseconds: int | None) -> str | None:
    """Processor time for people."""
    return None if nanoseconds is None else f"{nanoseconds / 1e9:.1f} s"


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _info(options: argparse.Namespace, host: Host) -> int:
    facts = dict(domain(host, options.domain).info())
    if options.json:
        show_json(facts)
    else:
        run = facts.pop("run", None) or {}
        show_facts({name.replace("_", " "): _fact(name, value) for name, value in [*facts.items(), *run.items()]})
    return 0


def _fact(name: str, value: object) -> object:
    """Return a fact for people: several sentences, interfaces, or ranges of ids have a line each."""
    if name == "argv" and isinstance(value, list):
        return " ".join(str(each) for each in value)
    if name == "idmap" and isinstance(value, dict):
        return [f"{kind} {_range(each)}" for kind, ranges in value.items() for each in ranges]
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    return _plain(name, value)


def _range(mapping: dict[str, int]) -> str:
    first, outside, last = mapping["inside"], mapping["outside"], mapping["count"] - 1
    return f"{first}-{first + last} are {outside}-{outside + last} of the host"


def _plain(name: str, value: object) -> object:
    """One value on one line: sizes with units, moments as dates. name: with those of what it is in."""
    if isinstance(value, list):
        return ", ".join(str(_plain("", each)) for each in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(f'{name} {key}', each)}" for key, each in value.items() if each is not None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "memory" in name:
        return size(value)
    if isinstance(value, int) and name.endswith("begun"):
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(value / 1e9))
    return value


ARGUMENTS = {"ls": _ls_arguments, "info": _info_arguments}
RUN = {"ls": _ls, "info": _info}
