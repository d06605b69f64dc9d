from concurrent.futures import Future
from dataclasses import replace

import pytest

from insula.engine.launch.holdings import ScopeGroup
from insula.engine.launch.limits import apply
from insula.engine.launch.placement import PlacementRequest, ScopePlacement
from insula.engine.launch.systembus import BusCall
from insula.engine.launch.systemdscope import AwaitedScope, Manager, Scope
from insula.engine.spec import Bytes, Limits
from insula.engine.steps.host.hoststep import HostContext
from insula.engine.steps.host.scopes import AllowDevicesInScope, AskForScope, LimitScope, MakeGroupInScope
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies
from tests.unit.engine.steps.host import sites

UNIFIED = Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("cpu", "memory", "pids"))
SCOPE = {"partition": "/machine/prod", "domain": "web", "uuid": "8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f"}
ASK = AskForScope(why="asked for", **SCOPE)
STEP = MakeGroupInScope(why="asked for", manager=Manager.MACHINED, owner=(1_000_000, 1_000_001), **SCOPE)
AWAITED = AwaitedScope(
    scope=Scope(machine="lxc-4711-web", uuid=SCOPE["uuid"], slice="machine-prod.slice", leader=4711),
    call=BusCall(Future(), 0),
)
GROUP = Cgroup(UNIFIED, "machine.slice/machine-lxc\\x2d4711\\x2dweb.scope/insula")


@pytest.fixture
def context() -> HostContext:
    made = sites.context(replace(sites.FACTS, hierarchies=UNIFIED, manager=Manager.MACHINED))
    made.child = 4711
    return made


def test_a_scope_is_asked_for_around_the_child(context: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[PlacementRequest, int]] = []

    def ask(_: ScopePlacement, request: PlacementRequest, pid: int) -> AwaitedScope:
        asked.append((request, pid))
        return AWAITED

    monkeypatch.setattr(ScopePlacement, "ask", ask)
    assert sites.perform(ASK, context) == ()
    ((request, pid),) = asked
    assert (pid, request.identity, request.name, request.uuid) == (4711, 4711, "web", STEP.uuid)
    assert request.placement.partition == "/machine/prod"
    assert context.awaited is AWAITED


def test_the_group_is_made_once_the_scope_is_there_and_released_when_taken_back(
    context: HostContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[PlacementRequest, AwaitedScope]] = []
    released: list[Cgroup] = []

    def place(_: ScopePlacement, request: PlacementRequest, awaited: AwaitedScope) -> Cgroup:
        asked.append((request, awaited))
        return GROUP

    monkeypatch.setattr(ScopePlacement, "place", place)
    monkeypatch.setattr(ScopePlacement, "release", lambda _, group: released.append(group))
    monkeypatch.setattr(Cgroup, "kill", lambda group: None)
    context.awaited = AWAITED
    held = sites.perform(STEP, context)
    ((request, awaited),) = asked
    assert awaited is AWAITED
    assert (request.identity, request.owner) == (4711, STEP.owner)
    assert context.group == GROUP
    assert held == (ScopeGroup(path=GROUP.path),)
    sites.take_away(held, context)
    assert released == [GROUP]


def test_a_refusal_of_systemds_is_passed_on(context: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def place(*_: object) -> Cgroup:
        raise OperationFailedError("systemd makes no scope for 'web': no")

    monkeypatch.setattr(ScopePlacement, "place", place)
    context.awaited = AWAITED
    with pytest.raises(OperationFailedError, match="makes no scope"):
        sites.perform(STEP, context)
    assert context.group is None


def test_a_scope_that_no_step_asked_for_is_a_broken_plan(context: HostContext) -> None:
    with pytest.raises(RuntimeError, match="no step of it asks for"):
        sites.perform(STEP, context)


def test_what_is_done_to_a_scope_waits_for_the_child_as_its_making_does() -> None:
    assert all(step.needs_child for step in (AskForScope, MakeGroupInScope, LimitScope, AllowDevicesInScope))


def test_the_plan_says_who_makes_the_scope() -> None:
    assert str(ASK) == "ask systemd for a scope of web in /machine/prod"
    assert str(STEP) == "make the control group of web below its scope, and have systemd-machined know it"


def test_limits_and_devices_are_those_of_any_group(context: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    context.group = GROUP
    done: list[object] = []
    monkeypatch.setattr(f"{apply.__module__}.apply", lambda group, limits: done.append((group, limits)))
    monkeypatch.setattr(Cgroup, "allow_devices", lambda group, rules, loaded: done.append((group, tuple(rules))))
    limits, rules = Limits(memory=Bytes(1 << 20)), (DeviceRule(kind="c", major=1, minor=3),)
    assert sites.perform(LimitScope(why="asked for", limits=limits), context) == ()
    assert sites.perform(AllowDevicesInScope(why="asked for", rules=rules), context) == ()
    assert done == [(GROUP, limits), (GROUP, rules)]
