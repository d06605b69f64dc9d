"""What running domains take of the host, between two readings of bulk statistics: rows of `insula stats` and `top`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from insula.cli.columns import Column
from insula.cli.lookup import domain
from insula.cli.render import size
from insula.model.numbers import ListDomains, StatsTypes
from insula.sdk.blocking_domains import Host

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
    "received_rate",
    "sent_rate",
    "read_rate",
    "written_rate",
    "tasks",
    "cpu_pressure",
    "memory_pressure",
    "io_pressure",
)
"""Of each domain that runs: cpu in percent of a processor, cpu_time in nanoseconds; rates in bytes a second; pressure:
the percent of the last ten seconds in which some work waited, None where nobody counts; everything else in bytes."""

COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("CPU", lambda row: f"{row['cpu']:.1f} %"),
    Column("MEMORY", lambda row: size(row["memory"])),
    Column("LIMIT", lambda row: size(row["memory_limit"])),
    Column("RECEIVED", lambda row: size(row["received"])),
    Column("SENT", lambda row: size(row["sent"])),
    Column("READ", lambda row: size(row["read"])),
    Column("WRITTEN", lambda row: size(row["written"])),
    Column("TASKS", lambda row: row["tasks"]),
)
_GROUPS = StatsTypes.CPU_TOTAL | StatsTypes.BALLOON | StatsTypes.INTERFACE | StatsTypes.BLOCK | StatsTypes.VM
_RATES = ("received", "sent", "read", "written")

Values = Mapping[str, int | float | str]
Sample = Mapping[str, Mapping[str, Any]]
"""By name, what each running domain has taken so far."""


def named(texts: Iterable[str], host: Host) -> frozenset[str]:
    """The names of the domains that are asked for, none if all are. Raises: DomainNotFoundError."""
    return frozenset(domain(host, text).name for text in texts)


def of_these(names: frozenset[str], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the rows that are asked for."""
    return [each for each in rows if not names or each["name"] in names]


def sample(host: Host) -> Sample:
    """Read what every running domain has taken."""
    limits = {each["name"]: each["memory_limit"] for each in host.overview(ListDomains.ACTIVE)}
    return {
        reference.name: {
            "cpu_time": values.get("cpu.time", 0),
            "memory": int(values.get("balloon.rss", 0)) * 1024,
            "memory_limit": limits.get(reference.name),
            "received": _sum(values, "net.", ".rx.bytes"),
            "sent": _sum(values, "net.", ".tx.bytes"),
            "read": _moved(values, "rd"),
            "written": _moved(values, "wr"),
            "tasks": values.get("insula.tasks.current"),
            **{
                f"{each}_pressure": values.get(f"insula.pressure.{each}.some.avg10") for each in ("cpu", "memory", "io")
            },
        }
        for reference, values in host.statistics(_GROUPS, ListDomains.ACTIVE)
    }


def _moved(values: Values, way: str) -> int:
    """Bytes of all block devices; an insulad of before tells those of the domain's own disks only."""
    found = values.get(f"insula.io.{way}.bytes")
    return _sum(values, "block.", f".{way}.bytes") if found is None else int(found)


def _sum(values: Values, begins: str, ends: str) -> int:
    return sum(int(value) for name, value in values.items() if name.startswith(begins) and name.endswith(ends))


def rates(before: Sample, now: Sample, seconds: float) -> list[dict[str, Any]]:
    """Return a row a domain: what it has taken, and in between how much of processors, and bytes a second.

    One that is new, or began again in between, has taken nothing yet.
    """
    rows = []
    for name, taken in now.items():
        then = before.get(name, taken)
        grown = {each: max(0, taken[each] - then[each]) / seconds for each in ("cpu_time", *_RATES)}
        speeds = {f"{each}_rate": round(grown[each]) for each in _RATES}
        rows.append({"name": name, "cpu": round(grown["cpu_time"] / 1e7, 1), **taken, **speeds})
    return rows
