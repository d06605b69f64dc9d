"""The launcher over a keeper that only pretends, with control groups that say what is done to them."""

import asyncio
import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.enter.attachment import is_detached
from insula.engine.facts import Facts
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Message, Verb
from insula.engine.launch.holdings import ControlGroup, Remains
from insula.engine.launch.launcher import Launcher
from insula.engine.plan import planner
from insula.engine.program.disassembly import Disassembly
from insula.engine.spec import ContainerSpec, Process
from insula.errors import InvalidArgumentError, KeeperError, OperationInvalidError, StepError
from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy
from insula.kernel.fds import Fd
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import Desk, desk_of
from tests.unit.engine.fakes import CLONE, GROUP, SPEC, Do, FakeKeeper, null, plan_of
from tests.waiting import patience

NULLS = (null(),) * 3
"""Standard streams that every guest is given."""

V1_ALONE = replace(
    UNIFIED, hierarchies=Hierarchies(v1=(V1Hierarchy(mount="/sys/fs/cgroup/pids", controllers=("pids",)),))
)
TAKEN = StepError("File exists", errno=errno.EEXIST)
UNKNOWN = KeeperError("no guest with that UUID is held")


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """Makes a desk for a host of these facts; options: of the launcher."""

    def made(facts: Facts = UNIFIED, **options: Any) -> Desk:
        return desk_of(monkeypatch, facts, **options)

    return made


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    return make()


# Beginnings


def test_a_plan_is_made_of_the_spec_and_the_facts_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[ContainerSpec, Facts]] = []
    monkeypatch.setattr(planner, "plan", lambda spec, facts: seen.append((spec, facts)))
    launcher = Launcher(facts=V1_ALONE, link=FakeKeeper())
    launcher.plan(SPEC)
    assert seen == [(SPEC, V1_ALONE)]
    assert launcher.facts is V1_ALONE


def test_a_launched_container_runs_under_a_pid_that_was_free(desk: Desk) -> None:
    running = desk.launch()
    chosen = desk.keeper.last(Verb.LAUNCH).body["pid"]
    assert 300 <= chosen < UNIFIED.pids_max
    assert chosen != os.getpid()
    assert not running.awaiting_exec
    running.close()


def test_another_pid_is_tried_when_one_was_taken_meanwhile(desk: Desk) -> None:
    desk.keeper.answers[Verb.LAUNCH] = [TAKEN, TAKEN]
    desk.launch().close()
    wanted = [each.body["pid"] for each in desk.keeper.asked if each.verb is Verb.LAUNCH]
    assert len(set(wanted)) == 3
    assert desk.keeper.world.made == ["group", "child"], "the attempts that failed have left nothing"


def test_no_other_pid_is_tried_while_something_of_the_last_attempt_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: Cgroup, **options: object) -> None:
        raise OSError(errno.EBUSY, "the group is still in use", "/c/web")

    desk.keeper.answers[Verb.LAUNCH] = [TAKEN]
    monkeypatch.setattr(Cgroup, "remove", busy)
    with pytest.raises(StepError, match="File exists") as caught:
        desk.launch()
    assert "still in use" in caught.value.__notes__[0], "its intent would be written over by the next one's"


def test_trying_pids_has_an_end(desk: Desk) -> None:
    desk.keeper.answers[Verb.LAUNCH] = [TAKEN] * 100
    with pytest.raises(StepError, match="no free process id was found in 16 attempts") as caught:
        desk.launch()
    assert caught.value.step == str(CLONE)
    assert desk.keeper.verbs().count(Verb.LAUNCH) == 16
    assert desk.keeper.world.made == []


@pytest.mark.parametrize("error", [StepError("No space left", errno=errno.ENOSPC), KeeperError("the keeper is gone")])
def test_any_other_failure_of_the_clone_is_not_tried_again(desk: Desk, error: Exception) -> None:
    desk.keeper.answers[Verb.LAUNCH] = [error]
    with pytest.raises(type(error), match=str(error)):
        desk.launch()
    assert desk.keeper.verbs().count(Verb.LAUNCH) == 1


def test_a_step_that_finds_something_in_its_way_is_not_taken_for_a_pid_that_is(desk: Desk) -> None:
    step = Do(why="-", name="group", world=desk.keeper.world, error=FileExistsError(errno.EEXIST, "File exists"))
    desk.planned[:] = [plan_of(before=(step,))]
    with pytest.raises(StepError, match="cannot make group: File exists"):
        desk.launch()
    assert desk.journal == ["group"]


def test_where_no_pid_is_chosen_none_can_be_taken(desk: Desk) -> None:
    desk.planned[:] = [replace(desk.planned[0], clone=replace(CLONE, numbered=False))]
    desk.keeper.answers[Verb.LAUNCH] = [TAKEN]
    with pytest.raises(StepError, match="File exists"):
        desk.launch()
    assert desk.keeper.verbs().count(Verb.LAUNCH) == 1


def test_what_undoing_needs_is_noted_before_every_attempt(desk: Desk) -> None:
    desk.keeper.answers[Verb.LAUNCH] = [TAKEN]

    def write_intent(remains: Remains) -> None:
        desk.journal.append(f"noted {json.dumps(remains.encode())}")

    desk.launch(write_intent=write_intent).close()
    wanted = [each.body["pid"] for each in desk.keeper.asked if each.verb is Verb.LAUNCH]
    notes = [index for index, entry in enumerate(desk.journal) if entry.startswith("noted")]
    groups = [index for index, entry in enumerate(desk.journal) if entry == "group"]
    assert [index + 1 for index in notes] == groups
    launches = [each.body["launch"] for each in desk.keeper.asked if each.verb is Verb.LAUNCH]
    assert len(set(launches)) == len(launches)
    assert [Remains.decode(json.loads(desk.journal[index].removeprefix("noted "))) for index in notes] == [
        Remains(uuid=SPEC.uuid, launch=launch, holdings=(ControlGroup(path=f"{GROUP}{pid}", made=False),))
        for pid, launch in zip(wanted, launches, strict=True)
    ]


def test_a_paused_launch_is_held_and_frozen(desk: Desk) -> None:
    running = desk.launch(paused=True)
    assert running.awaiting_exec
    assert desk.journal[-2:] == ["go answered", f"freeze {GROUP}"]
    running.close()


def test_one_that_cannot_be_frozen_does_not_stay(make: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    offloaded: list[Any] = []

    async def offload(function: Any) -> Any:
        offloaded.append(function)
        return function()

    def stuck(_: Cgroup) -> None:
        raise OSError(errno.ETIMEDOUT, "a task did not stop", "/c/web")

    desk, before = make(offload=offload), open_fds()
    monkeypatch.setattr(Cgroup, "freeze", stuck)
    with pytest.raises(StepError, match="cannot freeze web before its init: a task did not stop") as caught:
        desk.launch(paused=True)
    assert caught.value.errno == errno.ETIMEDOUT
    assert len(offloaded) == 2, "the freezing, and the removal of the groups"
    assert desk.journal[-7:] == [
        *("ask kill", "kill answered", "no group", f"kill {GROUP}", f"remove {GROUP}"),
        *("ask forget", "forget answered"),
    ]
    assert open_fds() == before


@pytest.mark.parametrize("passed", [0, 2])
def test_as_many_fds_are_passed_as_the_spec_says(desk: Desk, passed: int) -> None:
    spec = replace(SPEC, inherited_fds=1)
    with pytest.raises(OperationInvalidError, match=rf"init is to get 1 fd\(s\), and {passed} are passed"):
        completed(desk.launcher.launch(spec, inherited=[0] * passed))
    assert desk.journal == []


def test_a_spec_that_is_refused_is_refused_before_anything_is_done() -> None:
    keeper, notes = FakeKeeper(), list[Remains]()
    launcher = Launcher(facts=UNIFIED, link=keeper)
    with pytest.raises(InvalidArgumentError, match="privileged"):
        completed(launcher.launch(replace(SPEC, idmap=None), write_intent=notes.append))
    assert (keeper.asked, notes) == ([], [])


# Standing still and going on


def test_a_container_stands_still_and_goes_on(desk: Desk) -> None:
    running = desk.launch()
    desk.journal.clear()
    completed(desk.launcher.suspend(running))
    completed(desk.launcher.resume(running))
    assert desk.journal == [f"freeze {GROUP}", f"thaw {GROUP}"]
    running.close()


def test_the_first_resume_of_a_paused_one_lets_init_be_executed(desk: Desk) -> None:
    running = desk.launch(paused=True)
    desk.journal.clear()
    before = open_fds()
    completed(desk.launcher.resume(running))
    assert desk.journal == ["ask proceed", f"thaw {GROUP}", "proceed answered"]
    assert not running.awaiting_exec
    assert open_fds() == before
    completed(desk.launcher.resume(running))
    assert desk.journal[3:] == [f"thaw {GROUP}"]
    running.close()


def test_an_init_that_cannot_be_executed_is_told_at_the_first_resume(desk: Desk) -> None:
    running = desk.launch(paused=True)
    desk.keeper.answers[Verb.PROCEED] = [StepError("no such program", errno=errno.ENOENT)]
    with pytest.raises(StepError, match="no such program"):
        completed(desk.launcher.resume(running))
    running.close()


# Entering


def test_a_process_enters_with_streams_by_a_name_of_its_own(desk: Desk) -> None:
    running, before = desk.running(), open_fds()
    first, second = (
        completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/ps",)), stdio=NULLS)) for _ in range(2)
    )
    assert int(second.id) > int(first.id) and not is_detached(second.id)
    assert (first.pid, first.master) == (desk.keeper.pid, None)
    asked = desk.keeper.last(Verb.EXECUTE)
    assert asked.body == {"uuid": SPEC.uuid, "id": second.id}
    assert asked.fds == ("init", "image", "cgroup", "stdin", "stdout", "stderr", "account")
    assert 'execve("/bin/ps"' in "".join(Disassembly(asked.image).lines())
    third = completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/ps",)), stdio=NULLS, detached=True))
    assert is_detached(third.id)
    for each in (first, second, third):
        os.close(each.pidfd)
    desk.launcher.close()
    assert open_fds() == before
    running.close()


def test_a_process_enters_with_a_terminal_whose_master_is_the_callers(desk: Desk) -> None:
    running = desk.running()
    desk.keeper.fds[Verb.EXECUTE] = lambda: {"pidfd": Fd(os.pidfd_open(os.getpid())), "console0": null()}
    executed = completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), terminal=(24, 80)))
    assert executed.master is not None
    assert os.readlink(f"/proc/self/fd/{executed.master}") == "/dev/null"
    assert "stdin" not in desk.keeper.last(Verb.EXECUTE).fds
    for fd in (executed.master, executed.pidfd):
        os.close(fd)
    running.close()


@pytest.mark.asyncio
async def test_what_has_not_begun_when_its_asker_goes_never_does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    running, before = desk.running(), open_fds()
    usual = desk.keeper.answer

    async def answer(number: int) -> Message:
        if desk.keeper.asked[number].verb is Verb.EXECUTE:
            await asyncio.Event().wait()
        return await usual(number)

    monkeypatch.setattr(type(desk.keeper), "answer", lambda _, number: answer(number))
    asking = asyncio.create_task(desk.launcher.entrance.execute(running, Process(argv=("/bin/ps",)), stdio=NULLS))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    asked = desk.keeper.last(Verb.EXECUTE)
    assert desk.keeper.last(Verb.ABORT).body == {"id": asked.body["id"]}
    desk.launcher.close()
    assert open_fds() == before
    running.close()


@pytest.mark.parametrize("given", [{}, {"stdio": (0, 1, 2), "terminal": (24, 80)}])
def test_streams_and_a_terminal_exclude_each_other(desk: Desk, given: dict[str, Any]) -> None:
    running = desk.running()
    with pytest.raises(OperationInvalidError, match="either streams or a terminal"):
        completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), **given))
    assert desk.keeper.asked == []
    running.close()


@pytest.mark.parametrize("how", ["held", "frozen"])
def test_nobody_enters_what_is_paused(desk: Desk, how: str) -> None:
    running = desk.running()
    if how == "held":
        running.awaiting_exec = True
    else:
        completed(desk.launcher.suspend(running))
    with pytest.raises(OperationInvalidError, match="web is paused: resume it first"):
        completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), stdio=NULLS))
    assert desk.keeper.asked == []
    running.close()


def test_a_process_whose_group_was_removed_just_now_enters_the_next_one(desk: Desk) -> None:
    running, before = desk.running(), open_fds()
    gone = StepError("No such device", errno=errno.ENODEV)
    desk.keeper.answers[Verb.EXECUTE] = [gone]
    os.close(completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), stdio=NULLS)).pidfd)
    assert desk.keeper.verbs() == [Verb.EXECUTE, Verb.EXECUTE]
    desk.keeper.answers[Verb.EXECUTE] = [gone, gone]
    with pytest.raises(StepError, match="No such device"):
        completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), stdio=NULLS))
    desk.launcher.close()
    assert open_fds() == before
    running.close()


def test_a_process_that_cannot_enter_says_at_which_step(desk: Desk) -> None:
    running = desk.running()
    desk.keeper.answers[Verb.EXECUTE] = [StepError("Operation not permitted", step="3", errno=errno.EPERM)]
    with pytest.raises(StepError, match=r"cannot enter the container's .* namespaces: setns: Operation not permitted"):
        completed(desk.launcher.entrance.execute(running, Process(argv=("/bin/sh",)), stdio=NULLS))
    assert desk.keeper.verbs() == [Verb.EXECUTE]
    running.close()


@pytest.mark.parametrize("answer", [{}, UNKNOWN])
def test_forgetting_what_the_keeper_does_not_hold_is_fine(desk: Desk, answer: Any) -> None:
    desk.keeper.answers[Verb.FORGET] = [answer, answer]
    completed(desk.launcher.teardown.forget(Remains(uuid="u")))
    completed(desk.launcher.teardown.forget_execution("7"))
    assert [each.body for each in desk.keeper.asked] == [{"uuid": "u", "launch": None}, {"id": "7"}]


def test_signals_reach_init_until_it_has_ended(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    running = desk.running(program.pid)
    completed(desk.launcher.signal(running, signal.SIGTERM))
    assert program.wait(patience(10)) == -signal.SIGTERM
    with pytest.raises(OperationInvalidError, match="web has ended"):
        completed(desk.launcher.signal(running, signal.SIGTERM))
    running.close()


def test_namespaces_come_in_libvirts_order(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    running = desk.running(os.getpid())
    fds = completed(desk.launcher.namespaces(running))
    kinds = [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in fds]
    assert kinds == ["user", "ipc", "uts", "net", "pid", "mnt"]
    for fd in fds:
        os.close(fd)
    running.close()


def test_one_that_has_ended_has_no_namespaces(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    running, before = desk.running(program.pid), open_fds()
    program.kill()
    program.wait()
    with pytest.raises(OperationInvalidError, match="web has ended"):
        completed(desk.launcher.namespaces(running))
    assert open_fds() == before
    running.close()
