"""Verbs that only look: ls, info."""

import argparse
import time
from typing import Any

from insula.cli.lookup import domain
from insula.cli.render import show_facts, show_json, show_line, show_table, size
from insula.model.domainstates import DomainState
from insula.model.numbers import ListDomains, StatsTypes
from insula.sdk.blocking_domains import Host
from insula.sdk.values import Statistics, uuid_text

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


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--running", action="store_true", help="only those that run or are paused")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")


def _ls(options: argparse.Namespace, host: Host) -> int:
    groups = StatsTypes.STATE | StatsTypes.CPU_TOTAL | StatsTypes.BALLOON
    records = host.statistics(groups, ListDomains.ACTIVE if options.running else 0)
    rows = sorted((_row(each) for each in records), key=lambda row: row["name"])
    if options.json:
        show_json(rows)
    elif options.quiet:
        for row in rows:
            show_line(row["name"])
    else:
        show_table(
            ("NAME", "STATE", "ID", "MEMORY", "LIMIT", "CPU TIME"),
            [
                (row["name"], row["state"], row["id"], size(row["memory"]), size(row["memory_limit"]), _cpu(row))
                for row in rows
            ],
        )
    return 0


def _row(record: Statistics) -> dict[str, Any]:
    """One domain's line; sizes in bytes, times in nanoseconds, None where it does not run."""
    reference, values = record
    resident, limit = values.get("balloon.rss"), values.get("balloon.maximum")
    return {
        "name": reference.name,
        "uuid": uuid_text(reference.uuid),
        "id": reference.id if reference.id >= 0 else None,
        "state": STATES[DomainState(int(values["state.state"]))],
        "memory": None if resident is None else resident * 1024,
        "memory_limit": None if limit is None else limit * 1024,
        "cpu_time": values.get("cpu.time"),
    }


def _cpu(row: dict[str, Any]) -> str | None:
    return None if row["cpu_time"] is None else f"{row['cpu_time'] / 1e9:.1f} s"


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
