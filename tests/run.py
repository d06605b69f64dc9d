"""What scripts/test does once everything is installed: static checks, tests here, tests in the machine, one summary."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import hosts, roots, sideload
from tests.capabilities_plugin import REPORT_VARIABLE
from tests.debian_mirror import NoMirrorError
from tests.machine import machine
from tests.machine.image import image
from tests.machine.machine import Boot, Job
from tests.summary import Report, Summary

CHECKOUT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
FAST_PATHS = ("tests/unit", "tests/test_house.py")
PLAIN_PATHS = (*FAST_PATHS, "tests/conformance", "tests/fuzz", "tests/simulation")
ENCLOSED_PATHS = ("tests/system", "tests/e2e")
STATIC_CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
    ("contracts", ("lint-imports",)),
)

FULL_VARIABLE = "INSULA_TEST_FULL"
"""Set where tests that sample are to meet every case; see tests/e2e/test_injection.py."""

GUEST_ROOTS = ("debian-12", "debian-13")
MACHINE_TIMEOUT = 3600
"""Seconds for all tests of one boot: half as much again as they take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One run of pytest somewhere. run: starts it with the file for its report, and returns its exit status."""

    title: str
    run: Callable[[Path], int]


def main() -> int:
    """Run what the command line asks for and print the summary. Returns: 0 if all is well, else 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options, words = _parser().parse_known_args()
    if options.full:
        os.environ[FULL_VARIABLE] = "1"
    print(f"host profile: {hosts.profile()}", flush=True)
    failed_checks = [name for name, command in STATIC_CHECKS if not _check(name, command)]
    if failed_checks:
        print(f"static checks failed: {', '.join(failed_checks)}; the tests were not run")
        print(f"0 passed, {len(failed_checks)} failed")
        return 1
    summary = Summary(
        started_on=hosts.profile(), machine=_machine_wanted(options), everything=not (words or options.fast)
    )
    if not options.fast:
        _prepare(summary)
    for part in _parts(options, words):
        _run(part, summary)
    return summary.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/test", description="Check the project.", allow_abbrev=False)
    parser.add_argument("--fast", action="store_true", help="static checks and unit tests only")
    parser.add_argument("--full", action="store_true", help="every system call of every verb fails once: hours")
    parser.add_argument("--here", action="store_true", help="all but the emulated machine")
    return parser


def _machine_wanted(options: argparse.Namespace) -> bool:
    return not (options.fast or options.here or hosts.machine_left_out())


def _check(name: str, command: Sequence[str]) -> bool:
    started = time.monotonic()
    program = [str(PROGRAMS / command[0]), *command[1:]]
    result = subprocess.run(
        program, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    good = result.returncode == 0
    print(f"{name:10} {'ok' if good else 'FAILED'}  {time.monotonic() - started:5.1f} s", flush=True)
    if not good:
        print(result.stdout, flush=True)
    return good


def _prepare(summary: Summary) -> None:
    """Fetch and build what tests find in the cache; what cannot be had is missed by the tests that need it."""
    wanted: dict[str, Callable[[], object]]
    wanted = {f"side-loading {name}": partial(sideload.fetched, name) for name in sideload.TARGETS}
    wanted |= {f"building the root {name}": partial(roots.debian, name.removeprefix("debian-")) for name in GUEST_ROOTS}
    if summary.machine:
        wanted["building the emulated machine"] = image
    else:
        del wanted["side-loading qemu"]
    for title, action in wanted.items():
        started = time.monotonic()
        try:
            action()
        except (sideload.NotThereError, NoMirrorError, subprocess.CalledProcessError) as error:
            print(f"{title}: {error}", flush=True)
        if time.monotonic() - started > 1:
            print(f"{title}: {time.monotonic() - started:.0f} s", flush=True)


def _parts(options: argparse.Namespace, words: list[str]) -> list[Part]:
    here: dict[str, tuple[str, ...]]
    chosen = any((CHECKOUT / word.partition("::")[0]).exists() for word in words)
    pytest = ("-m", "pytest", "-q")
    if chosen:
        here = {"this host": ()}
    elif options.fast:
        here = {"this host": FAST_PATHS}
    else:
        here = {"this host, without an enclosure": PLAIN_PATHS, "this host, in an enclosure": ENCLOSED_PATHS}
    parts = [
        Part(title=title, run=partial(_pytest_here, [sys.executable, *pytest, *paths, *words]))
        for title, paths in here.items()
    ]
    for boot in Boot if _machine_wanted(options) else ():
        there = ["python3", *pytest, "-p", "no:cacheprovider", *(() if chosen else _files_for(boot)), *words]
        parts.append(Part(title=f"the emulated machine, {boot}", run=partial(_pytest_there, there, boot)))
    return parts


def _files_for(boot: Boot) -> list[str]:
    """Return the test files that can hold tests for a boot: to import all others would take the machine minutes."""
    mark = "mark.systemd_host" if boot is Boot.SYSTEMD else "mark.machine"
    return [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "tests").rglob("test_*.py"))
        if mark in file.read_text() or (boot is Boot.MINIMAL and file.is_relative_to(CHECKOUT / "tests/system"))
    ]


def _pytest_here(command: Sequence[str], report: Path) -> int:
    """Run pytest, which is told to end, and so to tidy up, when we are ended."""
    environment = {**os.environ, REPORT_VARIABLE: str(report)}
    bound = ("setpriv", "--pdeathsig", "TERM", *command)
    with subprocess.Popen(bound, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise


def _pytest_there(command: Sequence[str], boot: Boot, report: Path) -> int:
    artifacts = report.parent / f"{report.stem}.artifacts"
    status = machine.main(
        Job(
            command=command,
            boot=boot,
            roots=GUEST_ROOTS,
            environment={REPORT_VARIABLE: "/srv/artifacts/report.json"},
            artifacts=artifacts,
            timeout=MACHINE_TIMEOUT,
        )
    )
    if (artifacts / "report.json").exists():
        (artifacts / "report.json").rename(report)
    return status


def _run(part: Part, summary: Summary) -> None:
    print(f"\n== {part.title}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"it-{os.getpid()}-report-", dir="/var/tmp") as directory:
        file = Path(directory) / "report.json"
        status = part.run(file)
        report = Report.read(file) if file.exists() else None
    summary.add(part.title, report, status, seconds=time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
