"""How a build goes on, for people: a bar on a terminal, lines elsewhere; how fast, and about how long still."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from insula.cli.neutral import neutral
from insula.cli.render import show_progress, size

Report = dict[str, Any]
"""What the daemon tells: phase, fraction (None if nobody knows), text, received (bytes so far)."""

LINE_SECONDS: Final = 3.0
"""Without a terminal there is a line at least so often."""
_RATE_SECONDS: Final = 5.0
_FORECAST_SECONDS: Final = 5.0
_FORECAST_FRACTION: Final = 0.1
_FORECAST_HALVED: Final = 10.0
"""Seconds in which an older forecast counts half as much."""


class BuildPace:
    """How fast a build gets on. clock: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._fraction = 0.0
        self._forecast: tuple[float, float] | None = None
        """When the build was last thought to end, and when that was thought."""
        self._received: deque[tuple[float, int]] = deque()

    def note(self, report: Report) -> None:
        """Take what the daemon told just now."""
        self._fraction = max(self._fraction, report["fraction"] or 0.0)
        self._received.append((self._clock(), report.get("received") or 0))
        end = self._end
        self._forecast = None if end is None else (end, self._clock())

    @property
    def seconds(self) -> float:
        """Since the build began."""
        return self._clock() - self._begun

    @property
    def rate(self) -> float | None:
        """Bytes a second that came in lately; None if none did."""
        now = self._clock()
        while len(self._received) > 1 and now - self._received[1][0] >= _RATE_SECONDS:
            self._received.popleft()
        if not self._received or now <= self._received[0][0]:
            return None
        (then, before), (_, latest) = self._received[0], self._received[-1]
        return (latest - before) / (now - then) if latest > before else None

    @property
    def left(self) -> float | None:
        """About how many seconds it still takes, as it went so far; None as long as nobody can say."""
        end = self._end
        return None if end is None else max(end - self._clock(), 0.0)

    @property
    def _end(self) -> float | None:
        """When the build may end."""
        if self.seconds < _FORECAST_SECONDS or self._fraction < _FORECAST_FRACTION:
            return None
        now = self._clock()
        end = self._begun + self.seconds / self._fraction
        if self._forecast is not None:
            # Phases are not equally fast: what was thought before counts, for less the longer that is ago.
            before, then = self._forecast
            end += (before - end) * 2 ** ((then - now) / _FORECAST_HALVED)
        return end

    def text(self) -> str:
        """Both in words."""
        rate, left = self.rate, self.left
        parts = [f"{size(round(rate))}/s"] if rate else []
        parts += [f"about {duration(_roughly(left))} left"] if left is not None else []
        return ", ".join(parts)


def _roughly(seconds: float) -> float:
    """No finer than can be known: 5, 10, 20, 30 s, and so on."""
    return 5.0 if seconds < 7.5 else round(seconds / 10) * 10.0


def duration(seconds: float) -> str:
    """A time for people: 45 s, 3 min."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class BuildLines:
    """Progress as lines: one a phase, and one when none was written for some seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = BuildPace(clock)
        self._latest: Report | None = None
        self._phase = ""
        self._written = clock()

    def show(self, report: Report) -> None:
        """Take what the daemon told."""
        self._pace.note(report)
        self._latest = report
        if report["phase"] != self._phase or self._is_time():
            self._phase = report["phase"]
            self._write(report)

    def wait(self) -> None:
        """Nothing was told just now: say that it goes on, if it is time to."""
        if self._is_time():
            self._write(self._latest or {"phase": "waiting", "text": "for the builder"})

    def _is_time(self) -> bool:
        return self._clock() - self._written >= LINE_SECONDS

    def _write(self, report: Report) -> None:
        self._written = self._clock()
        extra = ", ".join(each for each in (f"{duration(self._pace.seconds)} so far", self._pace.text()) if each)
        show_progress(f"{report['phase']}: {report['text']} ({extra})")


class BuildNothing:
    """Progress for who wants none."""

    def show(self, report: Report) -> None:
        """Say nothing."""

    def wait(self) -> None:
        """Say nothing."""


class BuildBar:
    """Progress as a bar. bar: rich's, which draws itself; task: of it."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task
        self._pace = BuildPace()

    def show(self, report: Report) -> None:
        """Take what the daemon told."""
        self._pace.note(report)
        self._bar.update(
            self._task,
            total=None if report["fraction"] is None else 1.0,
            completed=report["fraction"] or 0.0,
            phase=neutral(report["phase"]),
            text=neutral(report["text"][:50]),
            pace=self._pace.text(),
        )

    def wait(self) -> None:
        """Let what is shown beside the bar be true now."""
        self._bar.update(self._task, pace=self._pace.text())


@contextmanager
def build_progress(*, quiet: bool) -> Iterator[BuildBar | BuildLines | BuildNothing]:
    """A bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        yield BuildNothing()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.fields[phase]:<12}"),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TextColumn("{task.fields[pace]}", markup=False),
        )
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
            yield BuildBar(bar, bar.add_task("", total=1.0, phase="", text="", pace=""))
    else:
        yield BuildLines()
