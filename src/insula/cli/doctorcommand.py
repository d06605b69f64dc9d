"""doctor: what the host has and lacks for Insula, with what that costs and what to do; with and without a daemon."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from insula.cli.render import show_json, show_line
from insula.errors import AccessDeniedError, NobodyListensError, OperationFailedError
from insula.layout import default_address, layout_from

_EXAMINER = "insula.daemon.hostexamination"
_PATIENCE = 60.0
_GRAVE = 1
_DOWN = {
    "id": "daemon.down",
    "gravity": "warning",
    "found": "no insulad answers",
    "costs": "what only a running daemon knows was not examined: its guests, keepers and leftovers",
    "remedy": "systemctl start insulad, or insulad --prefix DIR",
}
_SILENT = {
    **_DOWN,
    "id": "daemon.silent",
    "gravity": "error",
    "costs": "an insulad has the lock of this installation, and cannot be asked: nobody can manage its guests",
    "remedy": "look at its log, and at the mode of its socket; systemctl restart insulad leaves guests running",
}
_ORDER = ("error", "warning", "note", "ok")


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="what is as it should be, too")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors for the exit status")
    parser.add_argument("--json", action="store_true", help="one JSON document, with all that was checked")
    parser.epilog = (
        "A running daemon is asked; where none answers, this host is examined as far as that goes without. The exit "
        "status is 0 if nothing is an error, 1 if something is. Each finding has an id that stays the same."
    )


def _doctor(options: argparse.Namespace) -> int:
    told = _examined(options.installation, options.address)
    checks = sorted(told["checks"], key=lambda each: _ORDER.index(each["gravity"]))
    if options.json:
        show_json({**told, "checks": checks})
    else:
        for line in doctor_lines(checks, everything=options.all):
            show_line(line)
    counted = ("error", "warning") if options.strict else ("error",)
    return _GRAVE if any(each["gravity"] in counted for each in checks) else 0


def _examined(prefix: str | None, address: str | None) -> dict[str, Any]:
    """Return what the daemon says, else what can be found out without one. Raises: InsulaError for another host's."""
    from insula.sdk.connecting import connect

    if prefix is None and address is None:
        address = default_address()
    if address is not None:
        with connect(address) as host:
            return dict(host.examine())
    layout = layout_from(prefix)
    try:
        with connect(layout) as host:
            return dict(host.examine())
    except (NobodyListensError, AccessDeniedError) as error:
        from insula.sdk.startingdaemon import is_locked

        silent = is_locked(layout.lock)
        alone = examined_alone(prefix)
        down = {**(_SILENT if silent else _DOWN), "found": f"no insulad answers ({error})"}
        return {**alone, "checks": [down, *alone["checks"]]}


def examined_alone(prefix: str | None) -> dict[str, Any]:
    """Return what a process of ours that is no daemon finds out. Raises: OperationFailedError."""
    words = [sys.executable, "-I", "-m", _EXAMINER, *(["--prefix", prefix] if prefix is not None else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationFailedError(f"this host cannot be examined: {error}") from error
    if done.returncode:
        raise OperationFailedError(f"this host cannot be examined: {done.stderr.strip() or 'no word of it'}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def doctor_lines(checks: Sequence[Mapping[str, str]], *, everything: bool) -> Iterator[str]:
    """What was found, the gravest first. everything: what is as it should be, too."""
    for each in checks:
        if each["gravity"] == "ok":
            if everything:
                yield f"ok       {each['id']}: {each['found']}"
            continue
        yield f"{each['gravity']:<8} {each['id']}: {each['found']}"
        if each["costs"]:
            yield f"           costs: {each['costs']}"
        if each["remedy"]:
            yield f"           do:    {each['remedy']}"
    fine = sum(each["gravity"] == "ok" for each in checks)
    yield f"{fine} of {len(checks)} checks found what they should"


ARGUMENTS = {"doctor": _doctor_arguments}
RUN_ALONE = {"doctor": _doctor}
