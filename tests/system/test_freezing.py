"""Freezing and killing whole groups, with a v2 hierarchy and without one."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.inmates import BOMB, Counter, Inmate
from tests.waiting import until

pytestmark = pytest.mark.machine("cgroups")


def test_freezing_stops_the_group_and_nothing_else_until_it_is_thawed(
    group: Cgroup, counters: tuple[Counter, Counter]
) -> None:
    inside, outside = counters
    group.enter(inside.process.pid)
    inside.goes_on()
    group.freeze()
    assert group.frozen
    number = inside.number
    outside.goes_on()
    assert inside.number == number
    group.thaw()
    inside.goes_on()
    assert not group.frozen


def test_a_process_that_enters_a_frozen_group_stands_still_too(
    group: Cgroup, counters: tuple[Counter, Counter]
) -> None:
    group.freeze()
    inside, outside = counters
    inside.goes_on()
    group.enter(inside.process.pid)
    until(lambda: group.frozen, "the group being frozen again")
    number = inside.number
    outside.goes_on()
    assert inside.number == number


def test_a_frozen_group_can_be_killed(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    programs = [inmate("import signal; signal.pause()") for _ in range(3)]
    for each in programs:
        each.enter(group)
    group.freeze()
    group.kill()
    assert [each.process.wait() for each in programs] == [-signal.SIGKILL] * 3
    until(lambda: not group.populated, "the group being empty")


def test_a_fork_bomb_is_killed_to_the_last(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.tasks.limit(40)
    inmate(BOMB).enter(group)
    until(lambda: len(group.processes()) > 30, "the bomb having gone off")
    group.kill()
    until(lambda: not group.processes(), "all being dead", 20)


@pytest.fixture
def old_group(hierarchies: Hierarchies) -> Iterator[Cgroup]:
    """A group as a host without a v2 hierarchy has it."""
    made = Cgroup.create(replace(hierarchies, v2=None), f"test.slice/old-{os.getpid()}.scope")
    yield made
    if made.exists():
        made.kill()
        made.remove()


@pytest.mark.requires("cgroup1.freezer")
def test_without_v2_freezing_stops_the_group_until_it_is_thawed(
    old_group: Cgroup, counters: tuple[Counter, Counter]
) -> None:
    inside, outside = counters
    old_group.enter(inside.process.pid)
    assert old_group.processes() == [inside.process.pid]
    old_group.freeze()
    assert old_group.frozen
    number = inside.number
    outside.goes_on()
    assert inside.number == number
    old_group.thaw()
    inside.goes_on()


@pytest.mark.requires("cgroup1.freezer")
def test_without_v2_a_frozen_group_and_a_fork_bomb_can_be_killed(
    old_group: Cgroup, inmate: Callable[..., Inmate]
) -> None:
    program = inmate("import signal; signal.pause()")
    program.enter(old_group)
    old_group.freeze()
    old_group.kill()
    assert program.process.wait() == -signal.SIGKILL
    old_group.tasks.limit(40)
    inmate(BOMB).enter(old_group)
    until(lambda: len(old_group.processes()) > 30, "the bomb having gone off")
    old_group.kill()
    until(lambda: not old_group.populated, "all being dead", 20)
    assert old_group.into_fd() is None


@pytest.mark.requires("cgroup1.freezer")
def test_without_v2_there_is_a_group_in_every_hierarchy_and_in_none_after(old_group: Cgroup) -> None:
    assert [Path(each).is_dir() for each in old_group.directories] == [True] * len(old_group.hierarchies.v1)
    assert old_group.pressure("memory") is None
    assert old_group.stats().memory is not None
    old_group.remove()
    assert not old_group.exists()
