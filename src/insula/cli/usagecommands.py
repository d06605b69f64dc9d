"""Verbs that tell what guests do with the host: ps, stats, top."""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.lookup import domain
from insula.cli.render import size
from insula.cli.terminal import is_terminal
from insula.errors import InvalidArgumentError
from insula.model.numbers import ListDomains, StatsTypes
from insula.sdk.blocking_domains import Host

_CLEAR = "\x1b[H\x1b[J"
_SAMPLE_SECONDS = 1.0

# ps

PROCESS_FIELDS = ("pid", "host_pid", "parent", "user", "state", "cpu_time", "memory", "begun", "command")

PROCESS_COLUMNS = (
    Column("PID", lambda row: row["pid"]),
    Column("USER", lambda row: row["user"]),
    Column("STATE", lambda row: row["state"]),
    Column("MEMORY", lambda row: size(row["memory"])),
    Column("CPU TIME", lambda row: f"{row['cpu_time'] / 1e9:.1f} s"),
    Column("BEGUN", lambda row: time.strftime("%m-%d %H:%M", time.localtime(row["begun"] / 1e9))),
    Column("COMMAND", lambda row: row["command"]),
)


def _ps_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", nargs="?", help="name, id or UUID; it must be given, insula ls lists domains")
    list_arguments(parser, PROCESS_FIELDS)
    parser.epilog = "Users are numbers, as the guest has them. What is in brackets is a name that the kernel keeps."


def _ps(options: argparse.Namespace, host: Host) -> int:
    if options.domain is None:
        raise InvalidArgumentError("ps lists the processes of a guest: insula ps DOMAIN; insula ls lists domains")
    show_list(options, domain(host, options.domain).processes(), PROCESS_COLUMNS, PROCESS_FIELDS)
    return 0


# stats, top

FIELDS = (
    "name",
    "cpu",
    "cpu_time",
    "memory",
    "memory_limit",
    "received",
    "sent",
    "read",
    "written",
)
"""Of each domain that runs: cpu in percent of a processor, cpu_time in nanoseconds, everything else in bytes."""

COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("CPU", lambda row: f"{row['cpu']:.1f} %"),
    Column("MEMORY", lambda row: size(row["memory"])),
    Column("LIMIT", lambda row: size(row["memory_limit"])),
    Column("RECEIVED", lambda row: size(row["received"])),
    Column("SENT", lambda row: size(row["sent"])),
    Column("READ", lambda row: size(row["read"])),
    Column("WRITTEN", lambda row: size(row["written"])),
)


def _stats_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="*", metavar="domain", help="names (default: all that run)")
    list_arguments(parser, FIELDS)
    parser.epilog = "Processor time is that of the second that the verb takes, in percent of one processor."


def _stats(options: argparse.Namespace, host: Host) -> int:
    for text in options.domains:
        domain(host, text)  # told if there is none
    before, begun = sample(host), time.monotonic()
    time.sleep(_SAMPLE_SECONDS)
    rows = rates(before, sample(host), time.monotonic() - begun)
    wanted = [each for each in rows if not options.domains or each["name"] in options.domains]
    show_list(options, sorted(wanted, key=lambda row: str(row["name"])), COLUMNS, FIELDS)
    return 0


def _top_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d", "--delay", type=float, default=2.0, help="seconds between pictures (default: %(default)g)"
    )
    parser.add_argument("-n", "--count", type=int, help="end after so many pictures (default: 1 without a terminal)")
    list_arguments(parser, FIELDS)
    parser.set_defaults(sort="-cpu,-memory")
    parser.epilog = "Ctrl-C ends it."


def _top(options: argparse.Namespace, host: Host) -> int:
    screen = is_terminal(1)
    left = options.count if options.count is not None else (None if screen else 1)
    before, begun = sample(host), time.monotonic()
    time.sleep(min(_SAMPLE_SECONDS, options.delay))
    while True:
        now, moment = sample(host), time.monotonic()
        if screen:
            sys.stdout.write(_CLEAR)
        show_list(options, rates(before, now, moment - begun), COLUMNS, FIELDS)
        sys.stdout.flush()
        before, begun = now, moment
        left = None if left is None else left - 1
        if left is not None and left <= 0:
            return 0
        time.sleep(options.delay)


Sample = Mapping[str, Mapping[str, Any]]
"""By name, what each running domain has taken so far."""


def sample(host: Host) -> Sample:
    """Read what every running domain has taken."""
    groups = StatsTypes.CPU_TOTAL | StatsTypes.BALLOON | StatsTypes.INTERFACE | StatsTypes.BLOCK
    limits = {each["name"]: each["memory_limit"] for each in host.overview(ListDomains.ACTIVE)}
    return {
        reference.name: {
            "cpu_time": values.get("cpu.time", 0),
            "memory": int(values.get("balloon.rss", 0)) * 1024,
            "memory_limit": limits.get(reference.name),
            "received": _sum(values, "net.", ".rx.bytes"),
            "sent": _sum(values, "net.", ".tx.bytes"),
            "read": _sum(values, "block.", ".rd.bytes"),
            "written": _sum(values, "block.", ".wr.bytes"),
        }
        for reference, values in host.statistics(groups, ListDomains.ACTIVE)
    }


def _sum(values: Mapping[str, int | float | str], begins: str, ends: str) -> int:
    return sum(int(value) for name, value in values.items() if name.startswith(begins) and name.endswith(ends))


def rates(before: Sample, now: Sample, seconds: float) -> list[dict[str, Any]]:
    """Return a row a domain: what it has taken, and of processors how much in between."""
    rows = []
    for name, taken in now.items():
        spent = taken["cpu_time"] - before.get(name, taken)["cpu_time"]
        rows.append({"name": name, "cpu": round(max(0.0, spent / 1e7 / seconds), 1), **taken})
    return rows


ARGUMENTS = {"ps": _ps_arguments, "stats": _stats_arguments, "top": _top_arguments}
RUN = {"ps": _ps, "stats": _stats, "top": _top}
