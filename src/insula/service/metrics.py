"""Bulk statistics as metrics for Prometheus: one table from libvirt's keys to families of metrics, seconds and bytes.

A family is told as a whole, so the samples of all domains wait until the last one is read. How many there are is
bounded by what is defined: some forty of a domain, eight of each of its cards, six of each of its disks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from insula.model.domainstates import DomainState
from insula.model.numbers import StatsTypes
from insula.service.containerstats import RESOURCES
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

GROUPS: Final = (
    StatsTypes.STATE
    | StatsTypes.CPU_TOTAL
    | StatsTypes.BALLOON
    | StatsTypes.VCPU
    | StatsTypes.INTERFACE
    | StatsTypes.BLOCK
    | StatsTypes.VM
)
"""What the bulk statistics are to be asked for."""


class Kind(Enum):
    """Whether a value only grows while a guest runs, or is what it is now."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricFamily:
    """Metrics of one name. key: of the bulk statistics, N for the number of a card or disk, WHAT for a resource;
    per: what one of its key is in its unit; label: what tells several of one domain apart."""

    name: str
    help: str
    key: str
    kind: Kind = Kind.GAUGE
    per: int = 1
    label: str = ""


_NS, _US, _KIB = 1_000_000_000, 1_000_000, -1024
"""Divisors, and a factor by its sign."""


def _counter(name: str, key: str, help: str, per: int = 1, label: str = "") -> MetricFamily:  # noqa: A002
    return MetricFamily(name=f"insula_domain_{name}", help=help, key=key, kind=Kind.COUNTER, per=per, label=label)


def _gauge(name: str, key: str, help: str, per: int = 1, label: str = "") -> MetricFamily:  # noqa: A002
    return MetricFamily(name=f"insula_domain_{name}", help=help, key=key, per=per, label=label)


FAMILIES: Final[tuple[MetricFamily, ...]] = (
    _gauge("state", "state.state", "libvirt's number: 1 running, 3 paused, 5 shut off, 6 crashed"),
    _gauge("start_time_seconds", "insula.begun", "When its run began, since 1970; its counters begin there", _NS),
    _gauge("frozen", "insula.frozen", "Whether its processes stand still"),
    _counter("cpu_seconds_total", "cpu.time", "Processor time", _NS),
    _counter("cpu_user_seconds_total", "cpu.user", "Processor time of programs", _NS),
    _counter("cpu_system_seconds_total", "cpu.system", "Processor time of the kernel for them", _NS),
    _gauge("vcpus", "vcpu.current", "Virtual processors in use"),
    _counter("cpu_periods_total", "insula.cpu.periods", "Periods of its quota of processor time"),
    _counter("cpu_throttled_periods_total", "insula.cpu.throttled.periods", "Periods in which the quota was used up"),
    _counter("cpu_throttled_seconds_total", "insula.cpu.throttled.time", "For how long the quota held it up", _NS),
    _gauge("memory_used_bytes", "insula.memory.usage", "Memory in use, caches too"),
    _gauge("memory_limit_bytes", "insula.memory.limit", "The most that it can use"),
    _gauge("memory_balloon_bytes", "balloon.current", "What it may use now", _KIB),
    _gauge("memory_peak_bytes", "insula.memory.peak", "The most that was in use"),
    _gauge("memory_swap_bytes", "insula.memory.swap", "What is swapped out"),
    _gauge("memory_anonymous_bytes", "insula.memory.anonymous", "Memory of its programs alone"),
    _gauge("memory_cache_bytes", "insula.memory.cache", "Caches of files, tmpfs and shared memory"),
    _gauge("memory_kernel_bytes", "insula.memory.kernel", "What the kernel keeps for its programs"),
    _counter("memory_major_faults_total", "balloon.major_fault", "Pages that had to be read from a disk"),
    _counter("memory_minor_faults_total", "balloon.minor_fault", "Other pages that were missing"),
    _counter("oom_kills_total", "insula.memory.oom_kills", "Programs that were killed for want of memory"),
    _counter("memory_reclaimed_bytes_total", "insula.memory.reclaimed", "Idle memory that was taken by the daemon"),
    _gauge("tasks", "insula.tasks.current", "Processes and threads"),
    _gauge("tasks_limit", "insula.tasks.limit", "How many it may have"),
    _counter("tasks_refused_total", "insula.tasks.refused", "How often it wanted more"),
    _counter("pressure_waiting_seconds_total", "insula.pressure.WHAT.some.total", "Some work waited", _US, "resource"),
    _counter("pressure_stalled_seconds_total", "insula.pressure.WHAT.full.total", "All work waited", _US, "resource"),
    _counter("io_read_bytes_total", "insula.io.rd.bytes", "Read from all block devices of the host"),
    _counter("io_read_requests_total", "insula.io.rd.reqs", "Reads from all block devices of the host"),
    _counter("io_written_bytes_total", "insula.io.wr.bytes", "Written to all block devices of the host"),
    _counter("io_write_requests_total", "insula.io.wr.reqs", "Writes to all block devices of the host"),
    _counter("block_read_bytes_total", "block.N.rd.bytes", "Read from a disk of its own", label="device"),
    _counter("block_read_requests_total", "block.N.rd.reqs", "Reads from a disk of its own", label="device"),
    _counter("block_written_bytes_total", "block.N.wr.bytes", "Written to a disk of its own", label="device"),
    _counter("block_write_requests_total", "block.N.wr.reqs", "Writes to a disk of its own", label="device"),
    _gauge("block_capacity_bytes", "block.N.capacity", "How large a disk of its own is", label="device"),
    _gauge("block_allocation_bytes", "block.N.allocation", "What a disk takes on the host", label="device"),
    _counter("network_received_bytes_total", "net.N.rx.bytes", "Received, as the guest sees it", label="interface"),
    _counter("network_received_packets_total", "net.N.rx.pkts", "Packets received", label="interface"),
    _counter("network_received_errors_total", "net.N.rx.errs", "Packets received with errors", label="interface"),
    _counter("network_received_drops_total", "net.N.rx.drop", "Received packets that were dropped", label="interface"),
    _counter("network_sent_bytes_total", "net.N.tx.bytes", "Sent, as the guest sees it", label="interface"),
    _counter("network_sent_packets_total", "net.N.tx.pkts", "Packets sent", label="interface"),
    _counter("network_sent_errors_total", "net.N.tx.errs", "Packets not sent for errors", label="interface"),
    _counter("network_sent_drops_total", "net.N.tx.drop", "Packets dropped instead of sent", label="interface"),
)
"""In the order in which they are told. Names and labels are an interface: they stay."""

_BY_KEY: Final[Mapping[str, MetricFamily]] = {each.key: each for each in FAMILIES}
_NUMBERED = re.compile(r"(net|block)\.(\d+)\.(.+)")
_PRESSURE = re.compile(r"insula\.pressure\.(\w+)\.(some|full)\.total")


def labelled(**labels: str) -> str:
    """Return labels as both text formats have them, the same ones in both."""
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels.items()
    )
    return ",".join(f'{name}="{value}"' for name, value in escaped)


class Samples:
    """The samples of all domains so far, by family, as lines of text."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {each.name: [] for each in FAMILIES}
        self._states = dict.fromkeys(DomainState, 0)

    def add(self, managed: ManagedDomain, parameters: Sequence[Parameter]) -> None:
        """Take what the bulk statistics tell of one domain."""
        self._states[managed.state.state] += 1
        own = labelled(domain=managed.name, uuid=str(managed.uuid))
        names = _names(managed, parameters)
        for key, _, value in parameters:
            family, which = _meant(key) or (None, ("", ""))
            if family is not None and which in names:
                labels = f"{own},{labelled(**{family.label: names[which]})}" if family.label else own
                self._lines[family.name].append(f"{family.name}{{{labels}}} {_number(value, family.per)}\n")

    def of(self, family: MetricFamily) -> list[str]:
        """Return the lines of a family, each with its end."""
        return self._lines[family.name]

    def states(self) -> Iterator[tuple[str, int]]:
        """How many domains are in each state that one can be in, with libvirt's word for it."""
        for state in (DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF, DomainState.CRASHED):
            yield state.name.lower(), self._states[state]


def _names(managed: ManagedDomain, parameters: Sequence[Parameter]) -> Mapping[tuple[str, str], str]:
    """Return what is called how, by kind and number: cards by their names inside, as the host's ends change with each
    run."""
    names = {("", ""): "", **{("pressure", each): each for each in RESOURCES}}
    names |= {
        ("block", each.name.split(".")[1]): str(each.value)
        for each in parameters
        if each.name.startswith("block.") and each.name.endswith(".name")
    }
    if managed.run is not None:
        cards = managed.run.container.record.connected
        names |= {("net", str(number)): each.guest or each.host for number, each in enumerate(cards)}
    return names


@lru_cache(maxsize=4096)
def _meant(key: str) -> tuple[MetricFamily, tuple[str, str]] | None:
    """Return which family a key is of, and whose: the kind and number of a card or disk, a resource, or nothing."""
    if key in _BY_KEY:
        return _BY_KEY[key], ("", "")
    if numbered := _NUMBERED.fullmatch(key):
        kind, number, rest = numbered.groups()
        family = _BY_KEY.get(f"{kind}.N.{rest}")
        return None if family is None else (family, (kind, number))
    if pressure := _PRESSURE.fullmatch(key):
        return _BY_KEY[f"insula.pressure.WHAT.{pressure[2]}.total"], ("pressure", pressure[1])
    return None


def _number(value: object, per: int) -> str:
    """A number in the family's unit, exact."""
    assert isinstance(value, int)
    if per < 0:
        return str(value * -per)
    if per == 1:
        return str(int(value))
    whole, part = divmod(value, per)
    return f"{whole}.{part:0{len(str(per)) - 1}d}"
