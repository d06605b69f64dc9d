"""What scripts/test does once everything is installed: static checks, tests here beside the machine's, one summary."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests import hosts, parts, roots, sideload
from tests.capabilities_plugin import REPORT_VARIABLE, missed_elsewhere
from tests.debian_mirror import NoMirrorError
from tests.machine.image import image
from tests.machine.machine import TIME_SCALE, Boot
from tests.parts import Ended, Lane, Part
from tests.summary import Report, Summary
from tests.waiting import SCALE_VARIABLE

CHECKOUT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
FAST_PATHS = ("tests/unit", "tests/test_house.py", "tests/test_packaging.py", "tests/test_python_reference.py")
STATIC_CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
    ("contracts", ("lint-imports",)),
)
HERE = (
    (
        ("in an enclosure, end to end", ("tests/e2e",)),
        ("on a host of its own, the package", ("tests/installed",)),
    ),
    (
        ("unit tests", FAST_PATHS),
        ("conformance, fuzzing, simulation", ("tests/conformance", "tests/fuzz", "tests/simulation")),
        ("in an enclosure, by feature", ("tests/system",)),
    ),
)
"""What runs on this host, title and paths, in two lanes: each of them waits much of its time."""

UNSTEADY_MOST = 5
"""Tests that may fail in a whole run and pass by themselves afterwards: they are told as unsteady."""

BESIDE = 3
"""How many times longer something may take because of what runs beside it."""

GUEST_ROOTS = ("debian-12", "debian-13")
PACKAGE_ROOTS = ("host-13", "packages-13")
"""What the machine gets, if every case is asked for, to take our package in."""
DESKTOPS = ("12", "13")
"""The releases with a desktop; the last alone unless every case is asked for."""
MACHINE_TIMEOUT = 3600
"""Seconds for all tests of one boot: several times what they take."""
_LINE_SECONDS = 5.0
"""What takes longer says so at least so often."""


def main() -> int:
    """Run what the command line asks for and print the summary. Returns: 0 if all is well; 130 if ended early."""
    for number in (signal.SIGINT, signal.SIGTERM):  # even if we were started with one of them ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _whole(*_parser().parse_known_args())
    except KeyboardInterrupt:
        print("test: ended early, there is no summary", flush=True)
        return 130


def _whole(options: argparse.Namespace, words: list[str]) -> int:
    if options.full:
        os.environ[hosts.FULL_VARIABLE] = "1"
    print(f"host profile: {hosts.profile()}", flush=True)
    started = time.monotonic()
    failed_checks = _static_checks()
    if failed_checks:
        print(f"static checks failed: {', '.join(failed_checks)}; the tests were not run")
        print(f"0 passed, {len(failed_checks)} failed")
        return 1
    summary = Summary(
        started_on=hosts.profile(),
        machine=_machine_wanted(options),
        everything=not (words or options.fast),
        sampled=not options.full,
    )
    if not options.fast:
        _prepare(summary)
    lanes = _lanes(options, words)
    with tempfile.TemporaryDirectory(prefix=f"it-{os.getpid()}-parts-", dir="/var/tmp") as directory:
        first, second = Path(directory, "first"), Path(directory, "second")
        all_ended = _run(lanes, first)
        for ended in all_ended:
            summary.add(ended.part.title, _report(ended), ended.status, seconds=ended.seconds)
        for ended in _run([_second_look(all_ended)] if summary.everything else [], second):
            report = _report(ended)
            if report is not None:
                summary.look_again(report)
    print(f"\nthe whole run took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return summary.close()


def _run(lanes: Sequence[Lane], directory: Path) -> list[Ended]:
    directory.mkdir()
    return parts.run(lanes, checkout=CHECKOUT, directory=directory, output=sys.stdout.buffer)


def _report(ended: Ended) -> Report | None:
    return Report.read(ended.report) if ended.report.exists() else None


def _second_look(all_ended: Sequence[Ended]) -> Lane:
    """Return what runs the tests that failed once more, each part's by themselves; nothing if they are many."""
    failures = [(ended.part, report.failures()) for ended in all_ended if (report := _report(ended)) is not None]
    if sum(len(names) for _, names in failures) > UNSTEADY_MOST:
        return []
    return [replace(part, title=f"{part.title}, once more", words=names) for part, names in failures if names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/test", description="Check the project.", allow_abbrev=False)
    parser.add_argument("--fast", action="store_true", help="static checks and unit tests only")
    parser.add_argument("--full", action="store_true", help="every system call of every verb fails once: hours")
    parser.add_argument("--here", action="store_true", help="all but the emulated machine")
    return parser


def _machine_wanted(options: argparse.Namespace) -> bool:
    return not (options.fast or options.here or hosts.machine_left_out())


@contextmanager
def _visibly(title: str) -> Iterator[None]:
    """While the block takes long, there is a line every few seconds."""
    started, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(_LINE_SECONDS):
            print(f"{title}: {time.monotonic() - started:.0f} s so far", flush=True)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _static_checks() -> list[str]:
    """Run all static checks beside each other, print how they ended, and return the names of those that failed."""
    started = time.monotonic()
    running = {
        name: subprocess.Popen(
            [str(PROGRAMS / program), *words], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, (program, *words) in STATIC_CHECKS
    }
    failed = []
    for name, process in running.items():
        with _visibly(name):
            said = process.communicate()[0]
        print(f"{name:10} {'FAILED' if process.returncode else 'ok'}  {time.monotonic() - started:5.1f} s", flush=True)
        if process.returncode:
            failed.append(name)
            print(said, flush=True)
    return failed


def _prepare(summary: Summary) -> None:
    """Fetch and build what tests find in the cache; what cannot be had is missed by the tests that need it."""
    wanted: dict[str, Callable[[], object]]
    wanted = {f"side-loading {name}": partial(sideload.fetched, name) for name in sideload.TARGETS}
    wanted |= {f"building the root {name}": partial(roots.debian, name.removeprefix("debian-")) for name in GUEST_ROOTS}
    desktops = DESKTOPS if hosts.full() else DESKTOPS[-1:]
    wanted |= {f"building the desktop of Debian {each}": partial(roots.desktop, each) for each in desktops}
    wanted |= {
        f"building the packaging tools of Debian {each}": partial(roots.packaging, each) for each in roots.CODENAMES
    }
    wanted["building the host that takes the package"] = partial(roots.host, "13")
    if summary.machine:
        wanted["building the emulated machine"] = image
    else:
        del wanted["side-loading qemu"]
    for title, action in wanted.items():
        started = time.monotonic()
        try:
            with _visibly(title):
                action()
        except (sideload.NotThereError, NoMirrorError, subprocess.CalledProcessError) as error:
            print(f"{title}: {error}", flush=True)
        if time.monotonic() - started > 1:
            print(f"{title}: {time.monotonic() - started:.0f} s", flush=True)


def _lanes(options: argparse.Namespace, words: list[str]) -> list[Lane]:
    """Return what runs: the machine's boots one after another, and beside them this host's tests."""
    here: list[list[tuple[str, tuple[str, ...]]]]
    chosen = any((CHECKOUT / word.partition("::")[0]).exists() for word in words)
    if chosen:
        here = [[("", ())]]
    elif options.fast:
        here = [[("unit tests", FAST_PATHS)]]
    else:
        here = [list(lane) for lane in HERE]
    machine = _machine_wanted(options)
    beside = BESIDE if machine or len(here) > 1 else 1
    lanes: list[Lane] = [[_part_here(title, [*paths, *words], beside) for title, paths in lane] for lane in here]
    if machine:
        there = [_part_there(boot, [*(() if chosen else _files_for(boot)), *words], beside) for boot in Boot]
        lanes.insert(0, there)  # the longest: told as it comes
    return lanes


def _part_here(title: str, words: Sequence[str], beside: int) -> Part:
    scale = float(os.environ.get(SCALE_VARIABLE) or 1) * beside
    return Part(
        title=", ".join(filter(None, ("this host", title))),
        command=(sys.executable, "-m", "pytest", "-q"),
        words=words,
        environment={REPORT_VARIABLE: "{directory}/report.json", SCALE_VARIABLE: f"{scale:g}"},
    )


def _part_there(boot: Boot, words: Sequence[str], beside: int) -> Part:
    """The machine's command leaves the artefacts, with the report among them, in the part's directory."""
    environment = {REPORT_VARIABLE: "/srv/artifacts/report.json", SCALE_VARIABLE: f"{TIME_SCALE * beside}"}
    if os.environ.get(hosts.FULL_VARIABLE):
        environment[hosts.FULL_VARIABLE] = "1"
    timeout = MACHINE_TIMEOUT * (4 if hosts.full() else 1)
    options = [f"--boot={boot}", f"--timeout={timeout}", "--artifacts={directory}"]
    brought = (*GUEST_ROOTS, *PACKAGE_ROOTS) if hosts.full() else GUEST_ROOTS[-1:]  # what differs hangs on no host
    options += [f"--root={name}" for name in brought]
    options += [f"--environment={name}={value}" for name, value in environment.items()]
    pytest = ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    return Part(
        title=f"the emulated machine, {boot}",
        command=(sys.executable, "-m", "tests.machine", "run", *options, "--", *pytest),
        words=words,
    )


def _files_for(boot: Boot) -> list[str]:
    """Return the test files that can hold tests for a boot: to import all others would take the machine minutes."""
    if boot is Boot.SYSTEMD:
        words = ["mark.systemd_host"]
    else:
        words = ["mark.machine", *(f'"{entry.removesuffix("*")}' for entry in missed_elsewhere())]
    every = hosts.full() and boot is Boot.MINIMAL
    return [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "tests").rglob("test_*.py"))
        if any(word in file.read_text() for word in words) or (every and file.is_relative_to(CHECKOUT / "tests/system"))
    ]


if __name__ == "__main__":
    sys.exit(main())
