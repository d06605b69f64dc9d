"""How long a guest's processors have worked and stood idle: counts that never go backwards.

What the guest used comes from its control group: for each processor on v1, altogether on v2, where it is spread evenly
over the processors that the guest had meanwhile. A processor of the guest's was idle when it did not work for it. Time
in which a quota held back what could run is *stolen*, as that of a virtual machine is which its hypervisor lets wait.
The counts live in memory that outlasts the view; a processor that leaves the guest stands still.
Source: proc_stat(5).
"""

from array import array
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass

from insula.view.processorlists import Processors

_HEAD = 8
_EACH = 8
_ELAPSED, _USER, _SYSTEM, _STOLEN = range(4)
"""Cells of the whole: up to when all is counted, and how much of the group's totals."""
_WORKED_USER, _WORKED_SYSTEM, _WAITED, _IDLE, _PRESENT, _SEEN_USER, _SEEN_SYSTEM, _SEEN = range(8)
"""Cells of each processor: what is told, for how long it was the guest's, and what was read last of its own."""
CELLS = 3584
"""Cells (of 8 bytes) that hosts of up to 447 processors need; more are kept by the view alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTimes:
    """Nanoseconds that a group has used since it was made. stolen: held back by quotas, of all processors together;
    each: of single processors, empty where nobody counts them: how many ticks met its programs and how many the kernel
    working for them, as nanoseconds, and how long both were, which is exact."""

    user: int
    system: int
    stolen: int = 0
    each: Mapping[int, tuple[int, int, int]]

    @property
    def whole(self) -> int:
        return self.user + self.system


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Nanoseconds of one processor."""

    user: int
    system: int
    idle: int
    stolen: int

    def __add__(self, other: "ProcessorTime") -> "ProcessorTime":
        return ProcessorTime(
            self.user + other.user, self.system + other.system, self.idle + other.idle, self.stolen + other.stolen
        )


class ProcessorTimes:
    """The counts of one guest."""

    def __init__(self, cells: "MutableSequence[int] | memoryview[int] | None" = None, possible: int = 1) -> None:
        """cells: `CELLS` of 8 bytes, zeros at first, or as an earlier view left them; possible: processors of the host,
        which are numbered from 0."""
        needed = _HEAD + _EACH * possible
        self._cells = array("Q", bytes(8 * needed)) if cells is None or needed > len(cells) else cells
        self._possible = possible

    def advance(self, elapsed: int, present: Processors, used: GroupTimes) -> None:
        """Count what was used until now. elapsed: nanoseconds since the guest's start; present: its processors."""
        cells = self._cells
        passed = max(0, elapsed - cells[_ELAPSED])
        cells[_ELAPSED] += passed
        present = tuple(each for each in present if each < self._possible)
        if used.each:
            self._take_each(used)
        elif present:
            self._spread(_USER, _WORKED_USER, used.user, present)
            self._spread(_SYSTEM, _WORKED_SYSTEM, used.system, present)
        stolen = max(0, used.stolen - cells[_STOLEN])
        cells[_STOLEN] += stolen
        for number in present:
            base = _HEAD + _EACH * number
            cells[base + _PRESENT] += passed
            worked = cells[base + _WORKED_USER] + cells[base + _WORKED_SYSTEM]
            room = cells[base + _PRESENT] - worked - cells[base + _WAITED] - cells[base + _IDLE]
            if room > 0:
                waited = min(stolen // len(present), room)
                cells[base + _WAITED] += waited
                cells[base + _IDLE] += room - waited

    def _take_each(self, used: GroupTimes) -> None:
        """Divide what a processor worked as its ticks are divided since the last time."""
        cells = self._cells
        for number, (user, system, worked) in used.each.items():
            if number >= self._possible:
                continue
            base = _HEAD + _EACH * number
            more = worked - cells[base + _SEEN]
            if more <= 0:
                continue
            of_user = max(0, user - cells[base + _SEEN_USER])
            of_system = max(0, system - cells[base + _SEEN_SYSTEM])
            to_system = more * of_system // (of_user + of_system) if of_system else 0
            cells[base + _SEEN_USER], cells[base + _SEEN_SYSTEM], cells[base + _SEEN] = user, system, worked
            cells[base + _WORKED_USER] += more - to_system
            cells[base + _WORKED_SYSTEM] += to_system

    def _spread(self, total: int, cell: int, value: int, present: Processors) -> None:
        cells = self._cells
        share = max(0, value - cells[total]) // len(present)
        cells[total] += share * len(present)
        for number in present:
            cells[_HEAD + _EACH * number + cell] += share

    def of(self, number: int) -> ProcessorTime:
        """Return one processor's; zeros for one that the guest never had."""
        if number >= self._possible:
            return ProcessorTime(0, 0, 0, 0)
        base = _HEAD + _EACH * number
        cells = self._cells
        return ProcessorTime(
            cells[base + _WORKED_USER], cells[base + _WORKED_SYSTEM], cells[base + _IDLE], cells[base + _WAITED]
        )

    def whole(self) -> ProcessorTime:
        """Return all processors' together, also of those that the guest has no more."""
        cells, last = self._cells, _HEAD + _EACH * self._possible
        user, system, waited, idle = (
            sum(cells[_HEAD + each : last : _EACH]) for each in (_WORKED_USER, _WORKED_SYSTEM, _WAITED, _IDLE)
        )
        return ProcessorTime(user, system, idle, waited)
