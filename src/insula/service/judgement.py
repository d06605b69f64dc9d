"""Judging what a trace saw of a guest, and telling what holds it, as JSON values: imported once somebody asks."""

import contextlib
import errno
import os
from collections.abc import Mapping
from typing import Any

from insula.engine.codec import decode
from insula.engine.explain.confinementwords import confinement
from insula.engine.explain.guestconfinement import GuestConfinement, Readings
from insula.engine.explain.judging import explanation
from insula.engine.explain.refusedcall import Trace
from insula.engine.explain.verdict import Explanation
from insula.engine.launch.runningcontainer import Running
from insula.kernel.cgroups.readings import stats

_QUOTAS = "/proc/sys/user"


def judged(container: Running, name: str, said: Any, before: Readings) -> dict[str, Any]:
    """Return what a look's trace comes to (thread). said: a `Trace`, encoded; before: readings of its beginning."""
    trace = decode(Trace, said)
    guest = _guest_now(container, before)
    told = [described(explanation(each, guest)) for each in trace.calls]
    return {
        "domain": name,
        "status": trace.status,
        "refusals": told,
        "overlooked": trace.overlooked,
        "silent": trace.silent,
    }


def held(container: Running, name: str) -> dict[str, Any]:
    """Return what holds a guest (thread)."""
    layers = [
        {"layer": each.layer.value, "says": each.says, "change": each.change, "refused": each.refused}
        for each in confinement(_guest_now(container, Readings()))
    ]
    return {"domain": name, "held_by": layers}


def described(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values; texts in it may be the guest's."""
    call = found.call
    return {
        "call": call.shown,
        "name": call.name,
        "errno": errno.errorcode.get(call.errno, str(call.errno)),
        "error": os.strerror(call.errno),
        "pid": call.caller.pid,
        "program": call.caller.program,
        "times": call.times,
        "mattered": call.mattered,
        "certain": found.certain,
        "verdicts": [
            {
                "layer": each.layer.value,
                "evidence": each.evidence,
                "change": each.change,
                "advice": each.advice,
                "settle": each.settle,
            }
            for each in found.verdicts
        ],
    }


def _guest_now(container: Running, before: Readings) -> GuestConfinement:
    return GuestConfinement(
        spec=container.record.spec,
        filesystems=_filesystems(),
        readings=_since(before, read_now(container)),
        security_label=_label(container.pid),
    )


def read_now(container: Running) -> Readings:
    """Return what is counted now; nothing of a group that has gone (thread)."""
    try:
        read = stats(container.group)
    except OSError:
        return Readings(host_limits=_host_limits())
    return Readings(
        tasks=None if read.tasks is None else read.tasks.current,
        tasks_limit=None if read.tasks is None else read.tasks.limit,
        tasks_refused=0 if read.tasks is None else read.tasks.refused,
        memory=None if read.memory is None else read.memory.usage,
        memory_limit=None if read.memory is None else read.memory.limit,
        oom_kills=read.oom_kills,
        host_limits=_host_limits(),
    )


def _since(before: Readings, now: Readings) -> Readings:
    """Return readings that count what has happened since others."""
    return Readings(
        tasks=now.tasks,
        tasks_limit=now.tasks_limit,
        tasks_refused=now.tasks_refused - before.tasks_refused,
        memory=now.memory,
        memory_limit=now.memory_limit,
        oom_kills=now.oom_kills - before.oom_kills,
        host_limits=now.host_limits,
    )


def _host_limits() -> tuple[tuple[str, int], ...]:
    found: Mapping[str, int] = {}
    with contextlib.suppress(OSError):
        found = {each: _number(f"{_QUOTAS}/{each}") for each in sorted(os.listdir(_QUOTAS))}
    return tuple(found.items())


def _number(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def _filesystems() -> frozenset[str]:
    """Return the file systems that the kernel has now: modules come and go."""
    with open("/proc/filesystems") as file:
        return frozenset(line.split()[-1] for line in file)


def _label(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/attr/current", "rb") as file:
            return file.read(4096).rstrip(b"\0\n").decode(errors="replace")
    except OSError:
        return ""
