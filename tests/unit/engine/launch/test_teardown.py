"""How containers are ended, over a keeper that only pretends."""

import errno
import signal
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.exitstatus import ExitMeaning, ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch import release, teardown
from insula.engine.launch.attempt import announced
from insula.engine.launch.holdings import ControlGroup, Interfaces, Remains
from insula.engine.launch.systemdscope import Manager
from insula.engine.plan import planner
from insula.errors import KeeperError, OperationFailedError, OperationTimeoutError
from insula.kernel import fds
from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy
from insula.kernel.fds import Reserve
from tests.plans import UNIFIED
from tests.unit.engine.desk import CONNECTED, Desk, desk_of
from tests.unit.engine.fakes import GROUP, SPEC
from tests.waiting import patience

V1_ALONE = replace(
    UNIFIED, hierarchies=Hierarchies(v1=(V1Hierarchy(mount="/sys/fs/cgroup/pids", controllers=("pids",)),))
)
UNKNOWN = KeeperError("no guest with that UUID is held")
KILLED = ("ask kill", "kill answered")
VACATED = (f"kill {GROUP}", f"remove {GROUP}")
FORGOTTEN = ("ask forget", "forget answered")


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """Makes a desk for a host of these facts; options: of the launcher."""

    def made(facts: Facts = UNIFIED, **options: Any) -> Desk:
        return desk_of(monkeypatch, facts, **options)

    return made


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    return make()


def test_destroying_kills_and_takes_all_away_and_once_is_enough(desk: Desk) -> None:
    running = desk.running(holdings=(ControlGroup(path=GROUP), Interfaces(connected=(CONNECTED,))))
    status = completed(desk.launcher.teardown.destroy(running))
    assert status == ExitStatus(status=9)
    assert desk.journal == [*KILLED, *VACATED, *FORGOTTEN]
    assert desk.network.disconnected == [CONNECTED]
    assert running.pidfd < 0
    assert completed(desk.launcher.teardown.destroy(running)) == status
    assert len(desk.journal) == 6
    assert desk.network.disconnected == [CONNECTED]


def test_the_kernels_old_freezer_holds_even_the_killed(make: Callable[..., Desk]) -> None:
    desk = make(V1_ALONE)
    completed(desk.launcher.teardown.destroy(desk.running()))
    assert desk.journal[:2] == [f"kill {GROUP}", "ask kill"]


def test_one_that_has_ended_by_itself_is_released_without_asking_for_a_kill(desk: Desk) -> None:
    running = desk.running()
    completed(desk.launcher.teardown.release(running, ExitStatus(status=256)))
    assert desk.journal == [*VACATED, *FORGOTTEN]
    completed(desk.launcher.teardown.release(running, ExitStatus(status=256)))
    assert len(desk.journal) == 4
    assert completed(desk.launcher.teardown.destroy(running)).code == 1


def test_a_keeper_that_is_gone_keeps_nobody_alive(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    running = desk.running(program.pid)
    desk.keeper.unusable = KeeperError("the keeper does not take requests")
    status = completed(desk.launcher.teardown.destroy(running))
    assert status.meaning is ExitMeaning.UNKNOWN
    assert program.wait(patience(10)) == -signal.SIGKILL
    assert desk.journal == [f"kill {GROUP}", *VACATED]


def test_one_that_the_keeper_does_not_end_is_killed_by_us(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    desk.keeper.answers = {Verb.KILL: [KeeperError("the keeper has not done in time what it was asked for")]}
    assert completed(desk.launcher.teardown.destroy(desk.running(program.pid))) == ExitStatus(status=None)
    assert program.wait(patience(10)) == -signal.SIGKILL


def test_one_that_does_not_end_although_it_is_killed_counts_as_running(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teardown, "_DYING", 0.01)
    desk.keeper.answers = {Verb.KILL: [KeeperError("the keeper has not done in time what it was asked for")]}
    running = desk.running()
    with pytest.raises(OperationTimeoutError, match="is killed and has not ended yet"):
        completed(desk.launcher.teardown.destroy(running))
    assert (running.status, running.released) == (None, False)


def test_one_that_is_gone_in_every_way_is_destroyed_all_the_same(
    desk: Desk, program: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    running = desk.running(program.pid)
    program.kill()
    program.wait()

    def gone(_: Cgroup) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such group")

    monkeypatch.setattr(Cgroup, "kill", gone)
    desk.keeper.answers = {Verb.KILL: [UNKNOWN], Verb.FORGET: [UNKNOWN]}
    assert completed(desk.launcher.teardown.destroy(running)) == ExitStatus(status=None)
    assert running.released


def test_groups_that_nobody_is_left_in_are_removed_right_here(
    make: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offload(function: Any) -> Any:
        raise AssertionError("something is waited for")

    desk = make(offload=offload)
    gone: list[str] = []

    def removed(group: Cgroup) -> bool:
        gone.append(group.path)
        return True

    monkeypatch.setattr(Cgroup, "removed_at_once", removed)
    completed(desk.launcher.teardown.destroy(desk.running()))
    assert gone == [GROUP]


def test_nobody_waits_until_the_keeper_has_forgotten_a_guest(make: Callable[..., Desk]) -> None:
    left: list[Coroutine[Any, Any, None]] = []

    async def unattended(work: Coroutine[Any, Any, None]) -> None:
        left.append(work)

    desk = make(unattended=unattended)
    completed(desk.launcher.teardown.destroy(desk.running()))
    assert (desk.journal[-1], len(left)) == ("ask forget", 1)
    completed(left[0])
    assert desk.journal[-1] == "forget answered"


def test_removing_groups_is_left_to_whom_waiting_does_not_hurt(make: Callable[..., Desk]) -> None:
    offloaded: list[Any] = []

    async def offload(function: Any) -> Any:
        offloaded.append(function)
        return function()

    desk = make(offload=offload)
    completed(desk.launcher.teardown.destroy(desk.running()))
    assert len(offloaded) == 1
    assert f"remove {GROUP}" in desk.journal


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.EBUSY, "the group is still in use", "/c/web"),
            "web has ended, and something of it stays behind: .* still in use: /c/web",
        ),
        (OperationFailedError("systemd does not end the scope"), "systemd does not end the scope"),
    ],
)
def test_what_stays_behind_is_told_and_taken_away_by_the_next_call(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fail(_: Cgroup, **options: object) -> None:
        raise error

    running, status = desk.running(), ExitStatus(status=0)
    with monkeypatch.context() as patched:
        patched.setattr(Cgroup, "remove", fail)
        with pytest.raises(OperationFailedError, match=text):
            completed(desk.launcher.teardown.release(running, status))
    assert desk.journal == [f"kill {GROUP}", *FORGOTTEN]
    assert (running.released, running.pidfd < 0) == (False, True)
    desk.journal.clear()
    completed(desk.launcher.teardown.destroy(running))
    assert desk.journal == [*VACATED, *FORGOTTEN]
    assert running.released


def test_a_group_that_another_launch_made_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "launch_of", lambda group: "another")
    completed(
        desk.launcher.teardown.take_away(Remains(uuid=SPEC.uuid, launch="a1", holdings=(ControlGroup(path=GROUP),)))
    )
    assert not [each for each in desk.journal if GROUP in each]


def test_a_start_without_descriptors_for_it_is_refused_before_anything_is_made(
    make: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_: int) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    reserve = Reserve(4)
    desk = make(UNIFIED, reserve=reserve)
    with monkeypatch.context() as patch:
        patch.setattr(fds, "check_room", exhausted)
        with pytest.raises(OperationFailedError, match=r"may have \d+ descriptors: end some .*LimitNOFILE"):
            desk.launch()
    reserve.close()
    assert desk.journal == []


@pytest.mark.parametrize(("manager", "count"), [(Manager.NONE, 1), (Manager.SYSTEMD, 0)])
def test_the_group_is_announced_but_where_systemd_decides_it(manager: Manager, count: int) -> None:
    facts = replace(UNIFIED, manager=manager)
    held = announced(planner.plan(SPEC, facts), 4711)
    assert held == (ControlGroup(path=r"machine.slice/machine-lxc\x2d4711\x2dweb.scope", made=False),)[:count]


# Taking back what was cut short

REMAINS = Remains(uuid=SPEC.uuid, launch="a1", holdings=(ControlGroup(path=GROUP),))


def test_a_launch_that_was_cut_short_is_taken_back_by_its_note(desk: Desk) -> None:
    completed(desk.launcher.teardown.take_away(REMAINS))
    assert desk.journal == [
        *("ask kill", "kill answered", f"kill {GROUP}", f"remove {GROUP}"),
        *("ask forget", "forget answered"),
    ]
    assert desk.keeper.last(Verb.KILL).body == desk.keeper.last(Verb.FORGET).body == {"uuid": SPEC.uuid, "launch": "a1"}


def test_taking_back_twice_or_what_was_never_made_is_no_error(desk: Desk) -> None:
    completed(desk.launcher.teardown.take_away(REMAINS))
    desk.journal.clear()
    desk.keeper.answers = {Verb.KILL: [UNKNOWN], Verb.FORGET: [UNKNOWN]}
    completed(desk.launcher.teardown.take_away(REMAINS))
    assert desk.journal[:2] == ["ask kill", "kill answered"]
    assert desk.journal[-2:] == ["ask forget", "forget answered"]


def test_without_holdings_only_the_keepers_part_is_taken_back(desk: Desk) -> None:
    completed(desk.launcher.teardown.take_away(Remains(uuid=SPEC.uuid)))
    assert desk.journal == ["ask kill", "kill answered", "ask forget", "forget answered"]
