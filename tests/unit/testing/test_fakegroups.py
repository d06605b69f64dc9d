"""Groups remember what was asked of them."""

from typing import cast

import pytest

from insula.engine.launch import limits
from insula.engine.spec import Bytes, Limits, Microseconds
from insula.kernel.cgroups import Cgroup, TaskUse
from insula.testing import FakeGroup


def group(journal: list[str]) -> FakeGroup:
    return FakeGroup("web", before=journal.append, empty=lambda path: journal.append(f"empty {path}"))


def test_it_says_what_it_is_about_to_change() -> None:
    journal: list[str] = []
    web = group(journal)
    web.freeze()
    assert web.frozen
    web.thaw()
    assert not web.frozen
    web.kill()
    assert journal == ["freeze web", "thaw web", "kill web", "empty web"]


def test_what_is_gone_can_neither_be_frozen_nor_killed() -> None:
    web = group([])
    web.there = False
    with pytest.raises(FileNotFoundError):
        web.freeze()
    with pytest.raises(FileNotFoundError):
        web.kill()


def test_limits_are_what_was_set() -> None:
    web = group([])
    web.memory.limit(memory=1 << 20)
    web.cpu.weigh(512)
    web.io.weigh(50)
    assert web.memory.held() == (1 << 20, None, None, None)
    assert web.cpu.held() == (512, None, 100000)
    assert web.io.held() == (50, ())
    assert web.stats().memory is not None


def test_a_limit_that_the_kernel_refuses_is_not_set() -> None:
    def refuse(what: str) -> None:
        raise OSError(5, what)

    group = FakeGroup("web", before=refuse, empty=lambda path: None)
    with pytest.raises(OSError, match="limit memory web"):
        group.memory.limit(1)
    with pytest.raises(OSError, match="limit shares web"):
        group.cpu.weigh(1)
    assert (group.memory.limits, group.cpu.shares) == ({}, 1024)


def test_who_waits_for_the_thaw_is_told_once() -> None:
    web, told = group([]), []
    web.freeze()
    web.when_thawed(lambda: told.append("thawed"))
    assert told == []
    web.thaw()
    web.thaw()
    assert told == ["thawed"]
    assert (web.exec_fd(), web.join_fds()) == (None, [])


def test_every_limit_of_a_guest_can_be_set() -> None:
    web = group([])
    every = Limits(
        memory=Bytes(1 << 20),
        memory_soft=Bytes(1 << 19),
        memory_guarantee=Bytes(1 << 18),
        cpu_shares=512,
        cpu_quota=Microseconds(5000),
        cpus="0",
        memory_nodes="0",
        block_weight=200,
        pids=10,
    )
    limits.apply(cast("Cgroup", web), every)
    assert web.memory.limits == {"memory": 1 << 20, "soft": 1 << 19, "guarantee": 1 << 18}
    assert (web.cpu.shares, web.cpu.quota, web.cpuset.held()) == (512, 5000, ("0", "0"))
    assert (web.io.weight, web.stats().tasks) == (200, TaskUse(current=3, limit=10, refused=0))
