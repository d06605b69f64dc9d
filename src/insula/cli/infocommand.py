"""info: what is known of a domain, for people in lines, for programs in one document."""

import argparse
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from insula.cli.lookup import domain
from insula.cli.render import show_facts, show_json, size
from insula.sdk.blocking_domains import Host

_SECOND = 1_000_000_000
_USUAL = {"shutdown": signal.SIGINT, "rebooted": signal.SIGHUP}
"""What the kernel ends an init with that powers off or reboots: reboot(2)."""


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _info(options: argparse.Namespace, host: Host) -> int:
    facts = dict(domain(host, options.domain).info())
    if options.json:
        show_json(facts)
    else:
        show_facts(dict(_lines(facts, time.time_ns())))
    return 0


def _lines(facts: dict[str, Any], now: int) -> Iterator[tuple[str, object]]:
    """What people want to know first, then all the rest. now: nanoseconds since 1970."""
    run = facts.pop("run") or {}
    yield "name", facts.pop("name")
    yield "uuid", facts.pop("uuid")
    for name in ("title", "description"):
        if (text := facts.pop(name, None)) is not None:
            yield name, text.strip().splitlines()
    if labels := facts.pop("labels", None):
        yield "labels", [f"{name}={value}" for name, value in labels.items()]
    yield "state", f"{facts.pop('state')} ({facts.pop('reason')})"
    yield "id", facts.pop("id")
    if run and run["begun"]:  # of a run whose record was lost nobody knows
        yield "uptime", f"{duration(now - run['begun'])}, since {moment(run['begun'])}"
    if run:
        yield "addresses", facts.pop("addresses", [])
    memory = facts.pop("memory")
    limit = facts.pop("memory_limit", None)
    in_use = facts.pop("memory_used", None)
    used = "" if in_use is None else f"{size(in_use)} of "
    yield "memory", f"{used}{size(memory['maximum'] if limit is None else limit)}{'' if limit else ', no limit'}"
    if kills := run.pop("oom_kills", 0):
        yield "killed for want of memory", killed(kills, run.get("oom_victims", []))
    run.pop("oom_victims", None)
    if reclaimed := run.pop("reclaimed_memory", 0):
        yield "idle memory taken", size(reclaimed)
    for name in ("job", "last_job"):
        if (job := facts.pop(name, None)) is not None:
            yield name.replace("_", " "), job_line(job)
    for name in ("image", "root"):
        if (value := facts.pop(name, None)) is not None:
            yield name, value
    if (disk := facts.pop("disk", None)) is not None:
        yield "disk", f"{size(disk['used'])}{' at least' if disk['partial'] else ''} written in {disk['path']}"
    if (line := readiness_line(facts.pop("readiness", None))) is not None:
        yield "ready", line
    if (system := facts.pop("system", None)) is not None:
        yield "system", system_line(system)
    if (health := facts.pop("health", None)) is not None:
        yield "health", health_line(health)
    yield "last end", ended(facts.pop("last_end", None))
    if (failure := facts.pop("start_failure", None)) is not None:
        yield "start failed", f"{moment(failure['at'])}: {failure['text']}"
    if (moment_due := facts.pop("restart_at", None)) is not None:
        yield "next try", moment(moment_due)
    for name, value in [*facts.items(), *run.items()]:
        if name != "addresses":
            yield name.replace("_", " "), _fact(name, value)


def killed(count: int, victims: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many processes were killed for want of memory, and the last of them, a line each."""
    return [str(count), *(f"{each['program']} ({each['pid']}) at {moment(each['at'])}" for each in victims)]


def readiness_line(readiness: Mapping[str, Any] | None) -> str | None:
    """Since when a guest is ready, or what is said of why it is not; None if it does not run."""
    if readiness is None:
        return None
    says = f": {readiness['says']}" if readiness["says"] else ""
    if readiness["state"] == "ready":
        return f"since {moment(readiness['since'])}{says}"
    return f"{'not yet' if readiness['state'] == 'starting' else 'not in time'}{says}"


def system_line(system: Mapping[str, Any]) -> str:
    """What a guest's systemd says of the system, in a line."""
    count, units = system["failed"], system["units"]
    if not count:
        return str(system["state"])
    names = f": {', '.join(units)}{', …' if count > len(units) else ''}" if units else ""
    return f"{system['state']}: {count} failed {'unit' if count == 1 else 'units'}{names}"


def health_line(health: Mapping[str, Any]) -> str:
    """How a guest is that is looked after, in a line."""
    says = f": {health['says']}" if health["says"] else ""
    failed = f", {health['failures']} tries failed in a row" if health["failures"] else ""
    restarts = health["restarts"]
    often = "once" if restarts == 1 else f"{restarts} times in a row"
    restarted = f"; restarted for it {often}" if restarts else ""
    again = f"; restarted not before {moment(health['restart_at'])}" if health["restart_at"] else ""
    return f"{health['state']}{failed}{says}{restarted}{again}"


def job_line(job: Mapping[str, Any]) -> str:
    """How a job goes, or ended, in a line."""
    part = f", {size(job['done'])} of {size(job['total'])}" if job["total"] else ""
    why = f": {job['error']}" if job["error"] else ""
    return f"{job['verb']}: {job['state']}{part}, for {duration(job['elapsed'])}{why}"


def ended(end: Mapping[str, Any] | None) -> str | None:
    """How a run ended, in a line; None if there was none."""
    if end is None:
        return None
    how = str(end["reason"])
    if end["signal"] is not None and not goes_without_saying(how, end["signal"]):
        how += f", killed by {_signal_name(end['signal'])}"
    if end["exit_status"]:
        how += f", exit status {end['exit_status']}"
    if end["out_of_memory"]:
        how += ": out of memory"
    elif end["oom_kills"]:
        how += f"; {end['oom_kills']} of its processes were killed for want of memory"
    return f"{moment(end['ended'])}: {how}, after {duration(end['ended'] - end['begun'])}"


def goes_without_saying(how: str, number: int) -> bool:
    """Whether a run that ended so ended with that signal as all do."""
    return how in ("destroyed", "reset") or _USUAL.get(how) == number


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def duration(nanoseconds: int) -> str:
    """A time in its two largest units, such as 3 h 12 min."""
    left = max(0, nanoseconds) // _SECOND
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        amount, left = divmod(left, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])


def moment(nanoseconds: int) -> str:
    """A moment since 1970 as a date and a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(nanoseconds / _SECOND))


def _fact(name: str, value: object) -> object:
    """Return a fact for people: several sentences, interfaces, or ranges of ids have a line each."""
    if name in ("argv", "capabilities") and isinstance(value, list):
        return " ".join(str(each) for each in value)
    if name == "idmap" and isinstance(value, dict):
        return [f"{kind} {_range(each)}" for kind, ranges in value.items() for each in ranges]
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    return _plain(name, value)


def _range(mapping: dict[str, int]) -> str:
    first, outside, last = mapping["inside"], mapping["outside"], mapping["count"] - 1
    return f"{first}-{first + last} are {outside}-{outside + last} of the host"


def _plain(name: str, value: object) -> object:
    """One value on one line: sizes with units, moments as dates. name: with those of what it is in."""
    if isinstance(value, list):
        return ", ".join(str(_plain("", each)) for each in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(f'{name} {key}', each)}" for key, each in value.items() if each is not None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "memory" in name:
        return size(value)
    if isinstance(value, int) and name.endswith("begun"):
        return moment(value)
    return value


ARGUMENTS = {"info": _info_arguments}
RUN = {"info": _info}
