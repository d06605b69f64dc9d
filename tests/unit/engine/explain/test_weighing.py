"""Of all that failed, what the command failed by."""

import errno
from dataclasses import replace

from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.weighing import ended_well, weighed
from tests.unit.engine.explain.failed import ENOSYS, EPERM, caller, failed


def call(name: str, number: int, order: int, pid: int = 7) -> RefusedCall:
    return replace(failed(name, number, by=caller(pid=pid)), order=order)


def mattered(*calls: RefusedCall, ends: dict[int, int] | None = None, status: int | None = 256) -> list[str]:
    return [each.name for each in weighed(calls, {7: 256} if ends is None else ends, status) if each.mattered]


def test_the_last_refusal_counts() -> None:
    assert mattered(call("mount", EPERM, 1), call("mknod", EPERM, 3), call("bpf", EPERM, 2)) == ["mknod"]


def test_nothing_counts_for_a_command_that_succeeds() -> None:
    assert mattered(call("mount", EPERM, 1), status=0) == []


def test_a_process_that_did_without_does_not_count() -> None:
    calls = call("mount", EPERM, 1, pid=7), call("bpf", EPERM, 2, pid=8)
    assert mattered(*calls, ends={7: 256, 8: 0}) == ["mount"]
    assert mattered(*calls, ends={7: 0, 8: 9}) == ["bpf"]


def test_what_programs_have_another_way_for_counts_least() -> None:
    young, missing = call("clone3", ENOSYS, 5), call("openat", errno.ENOENT, 6)
    assert mattered(call("mount", EPERM, 1), young, missing) == ["mount"]
    assert mattered(young, missing) == ["openat"]
    assert mattered(call("mount", EPERM, 1), call("keyctl", ENOSYS, 2)) == ["keyctl"]


def test_nothing_failed_is_nothing() -> None:
    assert weighed((), {}, 256) == ()


def test_how_a_process_ended() -> None:
    assert [ended_well(each) for each in (0, 256, 9, None)] == [True, False, False, False]
