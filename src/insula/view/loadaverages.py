"""Load averages as the kernel computes them: every five seconds, over the tasks that run or wait uninterruptibly.

Source: `calc_load` and `calc_load_n` in the kernel's sched/loadavg.c and linux/sched/loadavg.h; proc_loadavg(5).
"""

from collections.abc import MutableSequence

INTERVAL = 5_000_000_000
"""Nanoseconds from one sample to the next."""
CELLS = 5
"""Cells of 8 bytes that averages are kept in: three averages, when they were sampled last, and the last pid."""
_SHIFT = 11
_ONE = 1 << _SHIFT
_DECAYS = (1884, 2014, 2037)
"""1/exp(5s/1min), 1/exp(5s/5min), 1/exp(5s/15min), in 2048ths."""
_SAMPLED, _LAST_PID = 3, 4
_PERIODS = 4096
"""Samples after which nothing is left of what was before."""


class LoadAverages:
    """The three averages of one guest."""

    def __init__(self, cells: "MutableSequence[int] | memoryview[int] | None" = None) -> None:
        """cells: `CELLS`, zeros at first, or as an earlier view left them."""
        self._cells = [0] * CELLS if cells is None else cells
        self.running = 1
        """Tasks that ran at the last sample."""

    @property
    def due(self) -> int:
        """When the next sample is due, in nanoseconds since the host's boot."""
        return self._cells[_SAMPLED] + INTERVAL if self._cells[_SAMPLED] else 0

    @property
    def last_pid(self) -> int:
        """The highest process number of the guest's own that was seen."""
        return self._cells[_LAST_PID]

    def saw_pid(self, pid: int) -> None:
        self._cells[_LAST_PID] = max(pid, self._cells[_LAST_PID])

    def sample(self, now: int, active: int) -> None:
        """Take a sample. active: tasks that run or wait uninterruptibly. Samples that were missed, as no view was there
        to take them, count as this one."""
        sampled = self._cells[_SAMPLED]
        periods = min(_PERIODS, (now - sampled) // INTERVAL) if sampled else 1
        if periods <= 0:
            return
        self._cells[_SAMPLED] = now if not sampled or periods == _PERIODS else sampled + periods * INTERVAL
        for index, decay in enumerate(_DECAYS):
            self._cells[index] = _decayed(self._cells[index], _power(decay, periods), active * _ONE)

    def texts(self) -> tuple[str, str, str]:
        """Return them as /proc/loadavg has them."""
        first, second, third = (_text(self._cells[index]) for index in range(3))
        return first, second, third


def _decayed(load: int, decay: int, active: int) -> int:
    value = load * decay + active * (_ONE - decay)
    if active >= load:
        value += _ONE - 1
    return value >> _SHIFT


def _power(factor: int, times: int) -> int:
    """Return factor to the power of times, in 2048ths, rounded at each step."""
    result = _ONE
    while times:
        if times & 1:
            result = (result * factor + (_ONE >> 1)) >> _SHIFT
        times >>= 1
        factor = (factor * factor + (_ONE >> 1)) >> _SHIFT
    return result


def _text(load: int) -> str:
    rounded = load + _ONE // 200
    return f"{rounded >> _SHIFT}.{((rounded & (_ONE - 1)) * 100) >> _SHIFT:02d}"
