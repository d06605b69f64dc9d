"""Limits of processes, of groups, and quotas of the kernel's objects."""

import errno
from typing import Any

import pytest

from insula.engine.explain.guestconfinement import Readings
from insula.engine.explain.limitverdicts import limit_verdicts
from insula.engine.explain.verdict import Layer, LayerVerdict
from tests.unit.engine.explain.failed import EPERM, caller, failed, guest, seen

FULL = Readings(tasks=20, tasks_limit=20, tasks_refused=3)


def verdicts(name: str, number: int, *arguments: int, readings: Any = None, **call: Any) -> list[LayerVerdict]:
    return list(limit_verdicts(failed(name, number, *arguments, **call), guest(readings=readings)))


def layers(found: list[LayerVerdict]) -> list[Layer]:
    return [each.layer for each in found]


def test_a_fork_is_refused_by_the_group_or_by_the_processs_own_limit() -> None:
    (group,) = verdicts("clone", errno.EAGAIN, readings=FULL)
    assert (group.layer, group.change, group.settle) == (Layer.PROCESS_LIMIT, "<insula:pids limit='40'/>", "")
    bounded = caller(limits=(("NPROC", 5, 5),))
    unmet = Readings(tasks=6, tasks_limit=20)
    assert layers(verdicts("clone", errno.EAGAIN, readings=unmet, by=bounded)) == [Layer.RESOURCE_LIMIT]
    both = verdicts("clone", errno.EAGAIN, readings=FULL, by=bounded)
    assert layers(both) == [Layer.PROCESS_LIMIT, Layer.RESOURCE_LIMIT] and both[1].settle
    (unknown,) = verdicts("fork", errno.EAGAIN, readings=Readings(tasks=6, tasks_limit=20))
    assert unknown.settle


def test_namespaces_have_quotas_by_kind() -> None:
    (found,) = verdicts("unshare", errno.ENOSPC, 0x10000000 | 0x40000000)
    assert "user.max_user_namespaces" in found.change and "user.max_net_namespaces" in found.change
    assert layers(verdicts("clone3", errno.EUSERS)) == [Layer.OBJECT_QUOTA]


def test_inotify_is_refused_by_its_quota_or_by_the_limit_of_files() -> None:
    some, all_ = (
        caller(limits=(("NOFILE", 64, 64),), descriptors=5),
        caller(limits=(("NOFILE", 64, 64),), descriptors=64),
    )
    assert layers(verdicts("inotify_init1", errno.EMFILE, by=some)) == [Layer.OBJECT_QUOTA]
    assert layers(verdicts("inotify_init1", errno.EMFILE, by=all_)) == [Layer.RESOURCE_LIMIT]
    (watches,) = verdicts(
        "inotify_add_watch", errno.ENOSPC, readings=Readings(host_limits=(("max_inotify_watches", 9),))
    )
    assert "user.max_inotify_watches" in watches.change and "there: 9" in watches.evidence
    assert "fs.inotify.max_user_watches" in watches.advice


@pytest.mark.parametrize(
    ("name", "number", "layer", "change"),
    [
        ("openat", errno.EMFILE, Layer.RESOURCE_LIMIT, "name='nofile'"),
        ("openat", errno.ENFILE, Layer.OBJECT_QUOTA, ""),
        ("write", errno.EFBIG, Layer.RESOURCE_LIMIT, "name='fsize'"),
        ("fanotify_init", errno.EMFILE, Layer.OBJECT_QUOTA, "user.max_fanotify_groups"),
        ("add_key", errno.EDQUOT, Layer.OBJECT_QUOTA, ""),
        ("write", errno.EDQUOT, Layer.OBJECT_QUOTA, ""),
    ],
)
def test_each_limit_has_its_line(name: str, number: int, layer: Layer, change: str) -> None:
    (found,) = verdicts(name, number)
    assert found.layer is layer and change in found.change and bool(change) is bool(found.change)


def test_memory_is_refused_by_addresses_locks_or_the_group() -> None:
    bounded = caller(limits=(("MEMLOCK", 65536, 65536), ("AS", 1 << 30, None)))
    held = Readings(memory=5, memory_limit=10, oom_kills=2)
    assert layers(verdicts("mlock", errno.ENOMEM, by=bounded, readings=held)) == [
        Layer.RESOURCE_LIMIT,
        Layer.RESOURCE_LIMIT,
        Layer.MEMORY_LIMIT,
    ]
    assert layers(verdicts("mlock", EPERM, by=bounded)) == [Layer.RESOURCE_LIMIT]
    assert verdicts("brk", errno.ENOMEM) == []


def test_a_raised_hard_limit_is_named() -> None:
    (found,) = verdicts("prlimit64", EPERM, 0, 7)
    assert "name='nofile'" in found.change
    (strange,) = verdicts("setrlimit", EPERM, 99)
    assert "(99)" in strange.evidence


def test_a_full_file_system_is_memory_or_the_hosts_disk() -> None:
    memory = seen("/tmp/f", mounted="tmpfs", point="/tmp", super_options="rw,size=2048k")
    (found,) = verdicts("write", errno.ENOSPC, files=(memory,))
    assert found.layer is Layer.MEMORY_LIMIT and "/tmp" in found.change
    (disk,) = verdicts("write", errno.ENOSPC, files=(seen("/f"),))
    assert disk.layer is Layer.OBJECT_QUOTA and not disk.change
    assert verdicts("write", errno.ENOSPC) == []


def test_what_is_no_limit_has_no_verdict() -> None:
    assert verdicts("mount", EPERM) == []
