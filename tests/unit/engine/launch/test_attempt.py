"""One launch, with steps and a keeper that only pretend: what is made, in which order, and that failure leaves none."""

import asyncio
import errno
import os
import subprocess
from dataclasses import replace

import pytest

from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Message, Verb
from insula.engine.launch.attempt import LaunchAttempt, answer_of_program, named_failure, step_failed
from insula.engine.launch.readyscopes import ReadyScopes
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import Running, boot_id
from insula.engine.launch.systemdscope import Scopes
from insula.engine.plan.plan import LaunchPlan
from insula.engine.steps.host.hoststep import HostStep
from insula.errors import InsulaError, KeeperError, OperationFailedError, StepError
from insula.kernel.bpf import LoadedPrograms
from insula.kernel.fds import Reserve
from insula.kernel.process import start_time
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.players import program_of
from tests.unit.engine.fakes import (
    CLONE,
    EARLY,
    GROUP,
    INNER,
    SPEC,
    Do,
    DoWithChild,
    FakeKeeper,
    Fetch,
    World,
    fake_groups,
    null,
    plan_of,
    things,
)

NUMBER = 4711
PROGRAM = replace(program_of(*INNER, child_early=EARLY), passed=("inherited0", "inherited1", "ids"))
REFUSED = OSError(errno.EIO, "the disk says no", "/somewhere")


@pytest.fixture(autouse=True)
def known_things(monkeypatch: pytest.MonkeyPatch) -> None:
    things(monkeypatch)


def launch(
    plan: LaunchPlan, keeper: FakeKeeper, *inherited: int, hold: bool = False, scopes: ReadyScopes | None = None
) -> Running:
    launching = LaunchAttempt(
        plan=plan,
        program=PROGRAM if inherited else replace(PROGRAM, passed=()),
        spec=SPEC,
        facts=UNIFIED,
        link=keeper,
        interfaces=None,
        identity=NUMBER,
        processors=None,
        launch="a1",
        reserve=Reserve(0),
        release=Release(hierarchies=UNIFIED.hierarchies),
        scopes=scopes or ReadyScopes(Scopes(), UNIFIED.hierarchies),
        loaded=LoadedPrograms(),
    )
    return completed(launching.run(inherited, hold=hold, while_inside=lambda running: None))


def steps_of(world: World) -> list[HostStep]:
    """Return two steps for each place in a plan."""
    return [
        Do(why="-", name="group", world=world),
        Do(why="-", name="other", world=world),
        Do(why="-", name="devices", world=world),
        Do(why="-", name="layers", world=world),
        DoWithChild(why="-", name="ids", world=world),
        Fetch(why="-"),
        DoWithChild(why="-", name="root", world=world),
    ]


def plan_with(steps: list[HostStep]) -> LaunchPlan:
    return plan_of(*steps[2:], before=tuple(steps[:2]))


def test_the_keeper_clones_while_the_host_does_what_needs_no_child() -> None:
    keeper = FakeKeeper()
    running = launch(plan_with(steps_of(keeper.world)), keeper)
    assert keeper.world.journal == [
        *("group", "other", "ask launch", "devices", "layers", "launch answered"),
        *("ids", "ask netlink", "netlink answered", "root", "ask go", "go answered"),
    ]
    running.close()


def test_a_plan_without_steps_for_the_child_waits_for_its_birth_all_the_same() -> None:
    keeper = FakeKeeper()
    launch(plan_of(before=(Do(why="-", name="group", world=keeper.world),)), keeper).close()
    assert keeper.world.journal[-3:] == ["launch answered", "ask go", "go answered"]


def test_what_was_launched_has_a_record_by_which_it_is_found_again() -> None:
    keeper = FakeKeeper()
    running = launch(plan_with(steps_of(keeper.world)), keeper)
    record = running.record
    assert (record.spec, record.id, record.pid) == (SPEC, keeper.pid, keeper.pid)
    assert (record.born, record.boot, record.group) == (start_time(keeper.pid), boot_id(), GROUP)
    assert os.readlink(f"/proc/self/fd/{running.pidfd}") == "anon_inode:[pidfd]"
    assert [os.readlink(f"/proc/self/fd/{console}") for console in running.consoles] == ["/dev/null"]
    assert not running.awaiting_exec
    running.close()


def test_a_launch_keeps_only_the_fds_of_its_handle_open() -> None:
    keeper, before = FakeKeeper(), open_fds()
    running = launch(plan_with(steps_of(keeper.world)), keeper)
    assert len(open_fds() - before) == 2
    running.close()
    assert open_fds() == before


def test_the_keeper_is_told_all_that_the_birth_needs() -> None:
    keeper = FakeKeeper()
    launch(plan_with(steps_of(keeper.world)), keeper).close()
    asked = keeper.last(Verb.LAUNCH)
    assert asked.body == {
        "uuid": SPEC.uuid,
        "launch": "a1",
        "namespaces": CLONE.namespaces,
        "owner": CLONE.owner,
        "pid": NUMBER,
    }
    assert asked.image == PROGRAM.image
    assert asked.fds == ("image",)


def test_the_child_is_told_what_it_is_to_get_once_all_is_ready() -> None:
    keeper, passed = FakeKeeper(), null()
    running = launch(plan_with(steps_of(keeper.world)), keeper, passed, passed, hold=True)
    asked = keeper.last(Verb.GO)
    assert asked.body == {"uuid": SPEC.uuid, "launch": "a1", "locked_trees": ("root",)}
    assert asked.fds == ("root", "inherited0", "inherited1", "ids")
    assert running.awaiting_exec
    assert os.fstat(passed), "inherited fds stay the caller's"
    running.close()
    os.close(passed)


def test_no_pid_is_wanted_where_none_can_be_chosen() -> None:
    keeper = FakeKeeper()
    steps = steps_of(keeper.world)
    launch(replace(plan_with(steps), clone=replace(CLONE, numbered=False)), keeper).close()
    assert keeper.last(Verb.LAUNCH).body["pid"] is None


def test_a_namespace_to_share_is_passed_by_fd() -> None:
    keeper, before = FakeKeeper(), open_fds()
    clone = replace(CLONE, shared=(("net", "/proc/self/ns/net"),))
    launch(replace(plan_with(steps_of(keeper.world)), clone=clone), keeper).close()
    assert keeper.last(Verb.LAUNCH).fds == ("image", "shared:net")
    assert open_fds() == before


def test_a_namespace_to_share_that_is_gone_is_named_and_all_undone() -> None:
    keeper, before = FakeKeeper(), open_fds()
    clone = replace(CLONE, shared=(("uts", "/proc/self/ns/uts"), ("net", "/run/netns/gone")))
    with pytest.raises(StepError, match=r"cannot open the net namespace to share: .*: /run/netns/gone") as caught:
        launch(replace(plan_with(steps_of(keeper.world)), clone=clone), keeper)
    assert caught.value.errno == errno.ENOENT
    assert (keeper.world.made, open_fds()) == ([], before)
    assert keeper.verbs() == []


@pytest.mark.parametrize("index", [index for index in range(7) if index != 5])
def test_failing_at_any_step_leaves_nothing_and_names_the_step(index: int) -> None:
    keeper, before = FakeKeeper(), open_fds()
    steps = steps_of(keeper.world)
    step = steps[index]
    assert isinstance(step, Do)
    steps[index] = replace(step, error=REFUSED)
    with pytest.raises(StepError, match=f"^cannot make {step.name}: the disk says no: /somewhere$") as caught:
        launch(plan_with(steps), keeper)
    assert (caught.value.step, caught.value.errno) == (f"make {step.name}", errno.EIO)
    assert caught.value.__cause__ is REFUSED
    assert (keeper.world.made, open_fds()) == ([], before)
    assert (Verb.ABORT in keeper.verbs()) == (index >= 2)


@pytest.mark.parametrize("verb", [Verb.LAUNCH, Verb.NETLINK, Verb.GO])
def test_a_keeper_that_says_no_at_any_point_leaves_nothing(verb: Verb) -> None:
    keeper, before = FakeKeeper(answers={verb: [KeeperError("the keeper is gone")]}), open_fds()
    with pytest.raises(KeeperError, match="the keeper is gone"):
        launch(plan_with(steps_of(keeper.world)), keeper)
    assert (keeper.world.made, open_fds()) == ([], before)


def test_the_child_goes_first_and_then_everything_in_reverse() -> None:
    keeper = FakeKeeper()
    steps = steps_of(keeper.world)
    steps[6] = DoWithChild(why="-", name="root", world=keeper.world, error=REFUSED)
    with pytest.raises(StepError):
        launch(plan_with(steps), keeper)
    failed = keeper.world.journal.index("root")
    assert keeper.world.journal[failed + 1 :] == [
        *("ask abort", "abort answered"),
        *("no ids", "no layers", "no devices", "no other", "no group"),
    ]


def test_a_clone_that_was_asked_for_and_not_answered_yet_is_waited_for_before_it_is_undone() -> None:
    keeper = FakeKeeper()
    steps = steps_of(keeper.world)
    steps[2] = Do(why="-", name="devices", world=keeper.world, error=REFUSED)
    with pytest.raises(StepError):
        launch(plan_with(steps), keeper)
    asked = keeper.world.journal.index("ask launch")
    assert keeper.world.journal[asked + 1 : asked + 5] == ["devices", "ask abort", "launch answered", "abort answered"]


def test_a_clone_that_failed_unheard_does_not_hide_the_failure_that_is_told() -> None:
    keeper = FakeKeeper(answers={Verb.LAUNCH: [StepError("File exists", errno=errno.EEXIST)]})
    steps = steps_of(keeper.world)
    steps[2] = Do(why="-", name="devices", world=keeper.world, error=REFUSED)
    with pytest.raises(StepError, match="cannot make devices"):
        launch(plan_with(steps), keeper)
    assert keeper.world.made == []


def test_a_clone_that_fails_is_named() -> None:
    keeper = FakeKeeper(answers={Verb.LAUNCH: [StepError("File exists", errno=errno.EEXIST)]})
    with pytest.raises(StepError, match=r"^cannot clone the first process into .*: File exists$") as caught:
        launch(plan_with(steps_of(keeper.world)), keeper)
    assert (caught.value.step, caught.value.errno) == (str(CLONE), errno.EEXIST)
    assert keeper.world.made == []


@pytest.mark.parametrize("failure", [None, {"text": "No such device", "errno": errno.ENODEV, "step": 0}])
def test_a_child_that_is_gone_before_we_look_at_it_is_told_with_what_it_died_of(
    failure: dict[str, object] | None,
) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    keeper = FakeKeeper(pid=gone.pid, answers={Verb.ABORT: [{"status": None, "failure": failure}]})
    expected = (
        "make the network namespace: unshare: No such device" if failure else "clone the .*: the process ended at once"
    )
    with pytest.raises(StepError, match=f"^cannot {expected}$"):
        launch(plan_with(steps_of(keeper.world)), keeper)
    assert keeper.world.made == []


@pytest.mark.parametrize(("index", "phrase"), [(mark.index, mark.step) for mark in PROGRAM.marks])
def test_a_step_that_fails_inside_is_told_by_its_words(index: int, phrase: str) -> None:
    refused = StepError("Operation not permitted", step=str(index), errno=errno.EPERM)
    keeper = FakeKeeper(answers={Verb.GO: [refused]})
    with pytest.raises(StepError) as caught:
        launch(plan_with(steps_of(keeper.world)), keeper)
    assert str(caught.value).startswith(f"cannot {phrase}: ")
    assert str(caught.value).endswith(": Operation not permitted")
    assert (caught.value.step, caught.value.errno) == (phrase, errno.EPERM)
    assert keeper.world.made == []


def test_what_the_child_died_of_is_told_rather_than_what_that_led_to() -> None:
    died = {"text": "No such device", "errno": errno.ENODEV, "step": 0}
    keeper = FakeKeeper(answers={Verb.ABORT: [{"status": None, "failure": died}]})
    steps = steps_of(keeper.world)
    gone = OSError(errno.ESRCH, "No such process")
    steps[4] = DoWithChild(why="-", name="ids", world=keeper.world, error=gone)
    with pytest.raises(StepError, match="cannot make the network namespace: unshare: No such device") as caught:
        launch(plan_with(steps), keeper)
    assert caught.value.errno == errno.ENODEV
    assert isinstance(caught.value.__cause__, StepError)
    assert caught.value.__cause__.__cause__ is gone
    assert keeper.world.made == []


@pytest.mark.parametrize("stays", [OSError(errno.EBUSY, "still in use"), OperationFailedError("still in use")])
@pytest.mark.parametrize("index", range(4))
def test_what_cannot_be_taken_away_is_told_beside_the_failure_and_stops_no_other(
    index: int, stays: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = FakeKeeper()
    steps = steps_of(keeper.world)
    broken = steps[index]
    assert isinstance(broken, Do)
    steps[index] = replace(broken, stays=stays)
    steps[6] = DoWithChild(why="-", name="root", world=keeper.world, error=REFUSED)
    with pytest.raises(StepError, match="cannot make root: the disk says no") as caught:
        launch(plan_with(steps), keeper)
    assert [note for note in caught.value.__notes__ if "still in use" in note]
    assert len(caught.value.__notes__) == 1
    assert keeper.world.made == []
    assert "launch of web: taking back failed" in caplog.text


def test_without_its_keeper_the_child_is_killed_with_its_group_before_that_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = FakeKeeper(answers={Verb.ABORT: [KeeperError("the keeper is gone")]})
    fake_groups(monkeypatch, keeper.world.journal)
    steps = steps_of(keeper.world)
    steps[6] = DoWithChild(why="-", name="root", world=keeper.world, error=REFUSED)
    with pytest.raises(StepError, match="cannot make root"):
        launch(plan_with(steps), keeper)
    failed = keeper.world.journal.index("abort answered")
    assert keeper.world.journal[failed + 1 :][:2] == [f"kill {GROUP}", "no ids"]
    assert keeper.world.made == []


def test_a_child_is_killed_too_if_it_is_the_next_keeper_that_answers_and_knows_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = KeeperError("the keeper is gone")
    keeper = FakeKeeper(answers={Verb.GO: [gone], Verb.ABORT: [{"status": None, "failure": None}]})
    fake_groups(monkeypatch, keeper.world.journal)
    with pytest.raises(KeeperError, match="the keeper is gone"):
        launch(plan_with(steps_of(keeper.world)), keeper)
    answered = keeper.world.journal.index("abort answered")
    assert keeper.world.journal[answered + 1] == f"kill {GROUP}"


@pytest.mark.parametrize("stop", [asyncio.CancelledError(), KeyboardInterrupt()])
@pytest.mark.parametrize("index", [1, 3, 6])
def test_a_launch_that_is_called_off_is_undone_too(index: int, stop: BaseException) -> None:
    keeper, before = FakeKeeper(), open_fds()
    steps = steps_of(keeper.world)
    step = steps[index]
    assert isinstance(step, Do)
    steps[index] = replace(step, error=stop)
    with pytest.raises(type(stop)):
        launch(plan_with(steps), keeper)
    assert (keeper.world.made, open_fds()) == ([], before)


def test_a_launch_that_is_called_off_before_its_clone_is_answered_has_the_child_ended() -> None:
    class CalledOff(FakeKeeper):
        async def answer(self, number: int) -> Message:
            if self.asked[number].verb is Verb.LAUNCH and Verb.ABORT not in self.verbs():
                raise asyncio.CancelledError
            return await super().answer(number)

    keeper, before = CalledOff(), open_fds()
    with pytest.raises(asyncio.CancelledError):
        launch(plan_with(steps_of(keeper.world)), keeper)
    assert Verb.ABORT in keeper.verbs()
    assert (keeper.world.made, open_fds()) == ([], before)


def test_an_error_that_speaks_for_itself_is_not_reworded() -> None:
    keeper = FakeKeeper()
    steps = steps_of(keeper.world)
    own = OperationFailedError("there is no bridge 'br7'")
    steps[4] = DoWithChild(why="-", name="ids", world=keeper.world, error=own)
    with pytest.raises(OperationFailedError) as caught:
        launch(plan_with(steps), keeper)
    assert caught.value is own
    assert keeper.world.made == []


@pytest.mark.parametrize("step", ["", "-1", "999"])
def test_an_error_that_no_step_is_to_blame_for_stays_as_it_is(step: str) -> None:
    error = StepError("it gave up", step=step)
    assert named_failure(error, PROGRAM) is error


def test_an_answer_that_names_no_step_is_raised_as_it_came() -> None:
    error = StepError("it gave up", step="-1")
    keeper = FakeKeeper(answers={Verb.EXECUTE: [error]})
    with pytest.raises(StepError) as caught:
        completed(answer_of_program(keeper, keeper.ask(Verb.EXECUTE, {}, {}), PROGRAM))
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left", "/x"), "cannot become the guest's root: No space left: /x"),
        (OSError(errno.ENOSPC, "No space left"), "cannot become the guest's root: No space left"),
    ],
)
def test_a_refused_step_tells_what_the_kernel_said_and_where(error: OSError, text: str) -> None:
    failure = step_failed(INNER[0], error)
    assert isinstance(failure, InsulaError)
    assert (str(failure), failure.errno) == (text, errno.ENOSPC)
