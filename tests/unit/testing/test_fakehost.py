"""A host in memory: processes end once, groups empty, and what is refused has not happened."""

import errno
import os
from collections.abc import Iterator

import pytest

from insula.kernel.process import has_ended
from insula.testing import FakeHost

GROUP = "machine.slice/web"


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


def test_a_process_lives_until_it_is_ended_and_its_pidfd_says_so(host: FakeHost) -> None:
    host.make_group(GROUP)
    process = host.clone(uuid="1", launch="a", group=GROUP)
    pidfd = host.pidfd_of(process)
    assert host.groups[GROUP].processes() == [process.pid]
    assert not has_ended(pidfd)

    host.end(process, 7)

    assert has_ended(pidfd)
    assert (process.status, host.ended) == (7, {(process.pid, process.born): 7})
    assert host.groups[GROUP].processes() == []


def test_a_group_goes_only_when_nobody_is_in_it(host: FakeHost) -> None:
    host.make_group(GROUP)
    host.clone(uuid="1", launch="a", group=GROUP)
    with pytest.raises(OSError, match="busy"):
        host.remove_group(GROUP)
    host.group(GROUP).kill()
    host.remove_group(GROUP)
    host.remove_group(GROUP)
    assert not host.group(GROUP).exists()


def test_what_is_refused_has_not_happened(host: FakeHost) -> None:
    def refuse(what: str) -> None:
        raise OSError(errno.ENOMEM, what)

    host.make_group(GROUP)
    host.before = refuse
    with pytest.raises(OSError, match=f"make group {GROUP}2"):
        host.make_group(f"{GROUP}2")
    with pytest.raises(OSError, match="clone"):
        host.clone(uuid="1", launch="a", group=GROUP)
    assert (list(host.groups), host.processes) == ([GROUP], {})


def test_a_held_process_ends_when_nobody_can_tell_it_to_go_on(host: FakeHost) -> None:
    host.make_group(GROUP)
    process = host.clone(uuid="1", launch="a", group=GROUP)
    way = host.hold(process)
    host.settle()
    assert process.lives
    os.close(way)
    host.settle()
    assert not process.lives


def test_processes_that_have_executed_outlive_the_keeper_and_others_do_not(host: FakeHost) -> None:
    host.start_keeper()
    host.make_group(GROUP)
    newborn, running = (host.clone(uuid=each, launch="a", group=GROUP) for each in ("1", "2"))
    running.executed = True
    host.kill_keeper()
    assert (newborn.lives, running.lives, host.keeper) == (False, True, None)


def test_a_pid_that_was_given_out_is_nobody_elses(host: FakeHost) -> None:
    host.make_group(GROUP)
    chosen = host.next_pid()
    assert host.clone(uuid="1", launch="a", group=GROUP).pid != chosen
    assert host.clone(uuid="2", launch="a", group=GROUP, pid=chosen).pid == chosen
    with pytest.raises(FileExistsError):
        host.clone(uuid="3", launch="a", group=GROUP, pid=chosen)


def test_a_group_is_known_by_the_launch_that_made_it_and_is_made_once(host: FakeHost) -> None:
    made = host.make_group(GROUP, maker="a")
    assert host.group_made_by("a") is made
    with pytest.raises(FileNotFoundError):
        host.group_made_by("b")
    with pytest.raises(FileExistsError):
        host.make_group(GROUP)


def test_after_a_reboot_nothing_runs_and_nothing_is_known_of_what_did(host: FakeHost) -> None:
    host.make_group(GROUP)
    host.start_keeper()
    process = host.clone(uuid="1", launch="a", group=GROUP)
    host.reboot("another")

    assert not process.lives
    assert (host.processes, host.groups, host.ended, host.keeper) == ({}, {}, {}, None)
    assert host.boot == "another"


def test_what_is_put_into_a_guest_ends_with_it_and_nothing_enters_afterwards(host: FakeHost) -> None:
    host.make_group(GROUP)
    init = host.clone(uuid="1", launch="a", group=GROUP)
    with pytest.raises(OSError, match="Cannot allocate"):
        host.enter("1", "7")
    init.executed = True
    program = host.enter("1", "7")
    assert (host.inside("1"), host.guests()) == ([program], {"1": init})
    host.end(program, 0)
    assert (host.inside("1"), init.lives) == ([], True)
    host.enter("1", "8")
    host.end(init, 0)
    assert (host.processes, [each.status for each in host.entered]) == ({}, [0, 9])
    with pytest.raises(OSError, match="Cannot allocate"):
        host.enter("1", "9")
