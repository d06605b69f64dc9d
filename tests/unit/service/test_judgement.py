"""A trace is judged by what holds the guest now, and by what was counted since the program began."""

import errno
import os
from types import SimpleNamespace
from typing import Any

from insula.engine.codec import encode
from insula.engine.explain.guestconfinement import Readings
from insula.engine.explain.refusedcall import Trace
from insula.service import judgement
from insula.service.judgement import held, judged, read_now
from tests.unit.engine.explain.failed import EPERM, failed, guest


class _Group:
    def __getattr__(self, name: str) -> Any:
        raise OSError(errno.ENOENT, "gone", name)


def container() -> Any:
    return SimpleNamespace(record=SimpleNamespace(spec=guest().spec), pid=os.getpid(), group=_Group())


def test_a_group_that_is_gone_counts_nothing_and_the_hosts_quotas_are_read() -> None:
    found = read_now(container())
    assert (found.tasks, found.tasks_limit, found.memory_limit) == (None, None, None)
    assert "max_inotify_instances" in dict(found.host_limits)


def test_only_what_was_refused_since_counts() -> None:
    since = judgement._since(Readings(tasks_refused=3, oom_kills=1), Readings(tasks=5, tasks_refused=4, oom_kills=1))
    assert (since.tasks, since.tasks_refused, since.oom_kills) == (5, 1, 0)


def test_what_failed_is_told_with_its_verdicts() -> None:
    trace = Trace(status=256, calls=(failed("bpf", EPERM, times=2),), overlooked=4)
    told = judged(container(), "web", encode(trace), Readings())
    (refusal,) = told["refusals"]
    assert (told["domain"], told["status"], told["overlooked"]) == ("web", 256, 4)
    assert (refusal["errno"], refusal["error"], refusal["times"]) == ("EPERM", os.strerror(EPERM), 2)
    assert refusal["verdicts"][0]["layer"] == "system call filter"


def test_layers_are_told_as_values() -> None:
    told = held(container(), "web")
    assert told["domain"] == "web" and {"layer", "says", "change", "refused"} == set(told["held_by"][0])
