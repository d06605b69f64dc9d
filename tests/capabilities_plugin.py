"""The pytest plugin behind `@pytest.mark.requires`: skips by capability, refuses every other skip, reports per host.

The report also tells what each test cost: seconds by the clock, and the processor seconds that budgets are made of.
"""

import json
import os
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from tests import clientrecord, hosts, probes, waiting
from tests.hosts import Profile
from tests.processortime import Meter

REPORT_VARIABLE = "INSULA_TEST_REPORT"
ALLOWED = Path(__file__).with_name("allowed_skips.toml")
REASON = "requires: "

_MARKERS = (
    "requires(*capabilities): skip where one of the capabilities (tests/probes.py) is missing",
    "machine(*reasons): runs in the emulated machine too; why it is another kind of host (hosts.MACHINE_REASONS)",
    "systemd_host: runs only in the emulated machine booted by systemd",
    clientrecord.MARKER,
)


class CapabilitiesPlugin:
    """One session's skips and outcomes. allowed: capability → why it may be missing on this host."""

    def __init__(self, host: Profile, allowed: Mapping[str, str]) -> None:
        self._host = host
        self._allowed = allowed
        self._outcomes: dict[str, dict[str, str]] = {}
        self._costs: dict[str, dict[str, float]] = {}
        self._meter: Meter | None = None
        self._unlisted: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what other hosts take, put first what needs no enclosure, and stretch time limits."""
        elsewhere = missed_elsewhere()
        taken = [item for item in items if self._takes(item, elsewhere)]
        left = [item for item in items if item not in set(taken)]
        config.hook.pytest_deselected(items=left)
        items[:] = sorted(taken, key=lambda item: item.nodeid.startswith(hosts.ENCLOSED))
        for item in items:
            _stretch_timeout(item)

    def _takes(self, item: pytest.Item, elsewhere: Collection[str]) -> bool:
        for mark in item.iter_markers("machine"):
            if not mark.args or not hosts.MACHINE_REASONS.keys() >= set(mark.args):
                raise pytest.UsageError(f"{item.nodeid}: machine(...) names none of {', '.join(hosts.MACHINE_REASONS)}")
        missed = any(covers(entry, capability) for capability in required(item) for entry in elsewhere)
        return hosts.takes(self._host, item.nodeid, _mark_names(item), may_be_missed=missed)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note what the test cost, its fixtures included; what was used between two tests is the second one's."""
        started = time.monotonic()
        if self._meter is None:
            self._meter = Meter(emulated=self._host in hosts.MACHINES)
        result = yield
        self._costs[item.nodeid] = {"seconds": time.monotonic() - started, "processor": self._meter.lap()}
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for capability in required(item):
            why = probes.missing(capability)
            if why:
                pytest.skip(f"{REASON}{capability} ({why})")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = self._outcomes.setdefault(report.nodeid, {"outcome": "passed", "reason": ""})
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = _skip_reason(report)
            outcome.update(outcome="skipped", reason=reason)
            self._judge_skip(report.nodeid, reason)
        elif report.failed:
            outcome.update(outcome="failed", reason=report.when or "")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is a failure; one that skips itself hides all its tests: never allowed."""
        if report.failed:
            self._outcomes[report.nodeid] = {"outcome": "failed", "reason": "collection"}
        if report.skipped:
            self._unlisted.append(f"{report.nodeid}: the whole module is skipped: {_skip_reason(report)}")

    def _judge_skip(self, node_id: str, reason: str) -> None:
        if not reason.startswith(REASON) or not any(covers(entry, skipped_for(reason)) for entry in self._allowed):
            self._unlisted.append(f"{node_id}: {reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        if self._unlisted and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        report = os.environ.get(REPORT_VARIABLE)
        if report:
            tests = {name: {**each, **self._costs.get(name, {})} for name, each in self._outcomes.items()}
            content = {"host": self._host, "tests": tests, "unlisted skips": self._unlisted}
            Path(report).write_text(json.dumps(content, indent=1))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unlisted:
            terminalreporter.section(f"skips that {ALLOWED.name} does not allow on a host of profile '{self._host}'")
            for line in self._unlisted:
                terminalreporter.line(line)


def required(item: pytest.Item) -> list[str]:
    """Return the capabilities that the test, its class and its module ask for, `systemd-host` from its own mark."""
    named = [name for mark in item.iter_markers("requires") for name in mark.args]
    return ["systemd-host", *named] if item.get_closest_marker("systemd_host") else named


def allowed_on(host: Profile, path: Path = ALLOWED) -> Mapping[str, str]:
    """Return which capabilities may be missing on such a host, each with the reason."""
    table: dict[str, dict[str, str]] = tomllib.loads(path.read_text())
    return {**table.get(host, {}), **(table["without-machine"] if hosts.machine_left_out() else {})}


def missed_elsewhere(path: Path = ALLOWED) -> frozenset[str]:
    """Return what hybrid hosts may miss and the machine may not: who asks for it is tested there too."""
    table: dict[str, dict[str, str]] = tomllib.loads(path.read_text())
    return frozenset(table[Profile.HYBRID]) - frozenset(table[Profile.MACHINE])


def covers(entry: str, capability: str) -> bool:
    """Return whether an entry (`criu`, a family: `cgroup2.*`, all: `*`) stands for the capability."""
    return capability.startswith(entry[:-1]) if entry.endswith("*") else entry == capability


def skipped_for(reason: str) -> str:
    """Return the capability that a skip's reason names; empty if it is none of ours."""
    return reason.removeprefix(REASON).partition(" ")[0] if reason.startswith(REASON) else ""


def _mark_names(item: pytest.Item) -> frozenset[str]:
    return frozenset(mark.name for mark in item.iter_markers())


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _stretch_timeout(item: pytest.Item) -> None:
    """Multiply the test's time limit, its own or the configured one, by this host's scale."""
    scale = waiting.time_scale()
    if scale == 1:
        return
    own = item.get_closest_marker("timeout")
    seconds = own.args[0] if own else float(item.config.getini("timeout") or 0)
    if seconds:
        item.add_marker(pytest.mark.timeout(seconds * scale), append=False)


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    host = hosts.profile()
    config.pluginmanager.register(CapabilitiesPlugin(host, allowed_on(host)), "insula-capabilities")
    if host not in hosts.MACHINES:
        config.pluginmanager.register(clientrecord.ClientRecorder(), "insula-clients")
