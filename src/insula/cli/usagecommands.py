"""Verbs that tell what guests do with the host: ps, stats."""

import argparse
import time

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.lookup import domain
from insula.cli.render import size
from insula.cli.usagesamples import COLUMNS, FIELDS, named, of_these, rates, sample
from insula.errors import InvalidArgumentError
from insula.sdk.blocking_domains import Host

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


# stats


def _stats_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="*", metavar="domain", help="names (default: all that run)")
    list_arguments(parser, FIELDS)
    parser.epilog = "Processor time is that of the second that the verb takes, in percent of one processor."


def _stats(options: argparse.Namespace, host: Host) -> int:
    names = named(options.domains, host)
    before, begun = sample(host), time.monotonic()
    time.sleep(_SAMPLE_SECONDS)
    rows = of_these(names, rates(before, sample(host), time.monotonic() - begun))
    show_list(options, sorted(rows, key=lambda row: str(row["name"])), COLUMNS, FIELDS)
    return 0


ARGUMENTS = {"ps": _ps_arguments, "stats": _stats_arguments}
RUN = {"ps": _ps, "stats": _stats}
