"""The end of a whole run: which test ran on which host, what never ran anywhere, and one closing line."""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from tests import rooms
from tests.capabilities_plugin import ALLOWED, covers, skipped_for
from tests.hosts import Profile

MERGED = Path(__file__).parents[1] / "build" / "tests-per-host.json"
"""Where the whole list stays: test → host → outcome."""

NOTHING_COLLECTED = 5
"""pytest's exit status when no test was selected. Source: pytest.ExitCode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """passed, failed, unsteady or skipped, and why.

    seconds: by the clock; processor: seconds of a usual host (processortime).
    """

    outcome: str
    reason: str
    seconds: float = 0.0
    processor: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one run of pytest wrote: see capabilities_plugin."""

    host: str
    tests: Mapping[str, Outcome]
    unlisted: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        content = json.loads(file.read_text())
        tests = {name: Outcome(**entry) for name, entry in content["tests"].items()}
        return cls(host=content["host"], tests=tests, unlisted=tuple(content["unlisted skips"]))

    def failures(self) -> list[str]:
        """Return the names of the tests that failed."""
        return [name for name, test in self.tests.items() if test.outcome == "failed"]


@dataclass(kw_only=True, slots=True)
class Summary:
    """Collects the parts of a run.

    everything: no selection was made, so a test that ran nowhere is a fault; sampled: nor was every case asked for, so
    that the rooms' budgets hold. seconds: of all parts on a host, one after another, by the clock.
    """

    started_on: Profile
    machine: bool
    everything: bool
    sampled: bool = True
    reports: list[Report] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, title: str, report: Report | None, status: int, *, seconds: float) -> None:
        """Take one part's report and exit status: a failure that no test accounts for is one of its own."""
        if report is None:
            self.broken.append(f"{title}: ended with {status} and no report")
            return
        self._take(report)
        self.seconds[report.host] = self.seconds.get(report.host, 0) + seconds
        empty_by_choice = status == NOTHING_COLLECTED and (
            not self.everything or report.host == Profile.MACHINE_SYSTEMD
        )
        if status and not report.failures() and not report.unlisted and not empty_by_choice:
            self.broken.append(f"{title}: ended with {status} though no test failed")
        self.broken += [f"{title}: a skip that is not allowed: {line}" for line in report.unlisted]

    def look_again(self, report: Report) -> None:
        """Take a second look at tests that failed: those that pass by themselves are told as unsteady."""
        earlier = next(each for each in self.reports if each.host == report.host)
        steadier = {
            name: replace(earlier.tests[name], outcome="unsteady")
            for name in earlier.failures()
            if name in report.tests and report.tests[name].outcome == "passed"
        }
        self._take(replace(earlier, tests=steadier))

    def _take(self, report: Report) -> None:
        """Put a report beside those of other hosts, together with what the same host reported before."""
        for number, earlier in enumerate(self.reports):
            if earlier.host == report.host:
                self.reports[number] = replace(earlier, tests={**earlier.tests, **report.tests})
                return
        self.reports.append(report)

    def close(self) -> int:
        """Print the tables and the closing line, keep the whole list, and return the exit status of the run."""
        nowhere = self.nowhere()
        faults = [
            *self.broken,
            *(f"ran on no host: {name}: {reason}" for name, reason in self._unexcused(nowhere).items()),
            *(f"over budget: {line}" for line in self._excess()),
        ]
        self._keep()
        print("\n" + "\n".join(self.table()))
        print("\n" + "\n".join(self.rooms()))
        for line in (*self._told("failed"), *self._told("unsteady")):
            print(line)
        for line in faults:
            print(f"FAULT {line}")
        passed, failed = (self._count(outcome) for outcome in ("passed", "failed"))
        unsteady = self._count("unsteady")
        unsteady_too = f", {unsteady} unsteady" if unsteady else ""
        print(f"{passed} passed, {failed + len(faults)} failed, {len(nowhere)} skipped{unsteady_too}")
        return 1 if failed or faults or not passed else 0

    def nowhere(self) -> dict[str, str]:
        """Return the tests that every host skipped, with the last host's reason."""
        ran = {name for report in self.reports for name, test in report.tests.items() if test.outcome != "skipped"}
        return {name: test.reason for report in self.reports for name, test in report.tests.items() if name not in ran}

    def _unexcused(self, nowhere: Mapping[str, str]) -> dict[str, str]:
        """Return those of the tests that ran nowhere for which allowed_skips.toml has no excuse."""
        if not self.everything:
            return {}
        table = tomllib.loads(ALLOWED.read_text()).get("nowhere", {})
        excuses = {**table.get(self.started_on, {}), **({} if self.machine else table["without-machine"])}
        return {
            name: reason
            for name, reason in nowhere.items()
            if not any(covers(entry, skipped_for(reason)) for entry in excuses)
        }

    def table(self) -> list[str]:
        """Return the counts, a line a test file, a column a host; in the cells: passed, failed (!),
        unsteady (~), skipped (-).
        """
        hosts = [report.host for report in self.reports]
        files = sorted({name.partition("::")[0] for report in self.reports for name in report.tests})
        width = max(map(len, ("tests run on each host", *files)))
        lines = [f"{'tests run on each host':{width}}  " + "  ".join(f"{host:>15}" for host in hosts)]
        for file in files:
            cells = (_cell(_counts(report, file)) for report in self.reports)
            lines.append(f"{file:{width}}  " + "  ".join(f"{cell:>15}" for cell in cells))
        totals = (_cell(_counts(report, "")) for report in self.reports)
        lines.append(f"{'all':{width}}  " + "  ".join(f"{cell:>15}" for cell in totals))
        times = (f"{self.seconds[host]:.0f} s" for host in hosts)
        lines.append(f"{'time':{width}}  " + "  ".join(f"{cell:>15}" for cell in times))
        return lines

    def rooms(self) -> list[str]:
        """Return what each room cost, the dearest first: processor seconds of its budget, seconds by the clock."""
        known = rooms.budgets()
        used = self._used("processor")
        passed = self._used("seconds")
        names = sorted(
            {name for each in used.values() for name in each},
            key=lambda name: -sum(each.get(name, 0) for each in used.values()),
        )
        title = "processor seconds of each room / its budget, (seconds by the clock)"
        width = max(map(len, (title, *names)))
        lines = [f"{title:{width}}  " + "  ".join(f"{host:>22}" for host in used)]
        for name in names:
            cells = (
                f"{used[host][name]:.0f} / {known.of(name).on(host):g} ({passed[host][name]:.0f} s)"
                if name in used[host]
                else ""
                for host in used
            )
            lines.append(f"{name:{width}}  " + "  ".join(f"{cell:>22}" for cell in cells))
        return lines

    def _used(self, what: str) -> dict[str, dict[str, float]]:
        """Return host → room → the sum of what its tests took."""
        known = rooms.budgets()
        return {
            report.host: rooms.by_room({name: getattr(test, what) for name, test in report.tests.items()}, known)
            for report in self.reports
        }

    def _excess(self) -> list[str]:
        return rooms.budgets().excess(self._used("processor")) if self.everything and self.sampled else []

    def _told(self, outcome: str) -> list[str]:
        return [
            f"{outcome.upper()} on {report.host}: {name}"
            for report in self.reports
            for name, test in report.tests.items()
            if test.outcome == outcome
        ]

    def _count(self, outcome: str) -> int:
        return sum(test.outcome == outcome for report in self.reports for test in report.tests.values())

    def _keep(self) -> None:
        merged: dict[str, dict[str, str]] = {}
        for report in self.reports:
            for name, test in report.tests.items():
                merged.setdefault(name, {})[report.host] = f"{test.outcome} {test.reason}".strip()
        MERGED.parent.mkdir(exist_ok=True)
        MERGED.write_text(json.dumps(merged, indent=1, sort_keys=True))


def _counts(report: Report, file: str) -> Counter[str]:
    return Counter(test.outcome for name, test in report.tests.items() if not file or name.partition("::")[0] == file)


def _cell(counts: Counter[str]) -> str:
    marks = (("passed", ""), ("failed", "!"), ("unsteady", "~"), ("skipped", "-"))
    return " ".join(f"{counts[outcome]}{mark}" for outcome, mark in marks if counts[outcome])
