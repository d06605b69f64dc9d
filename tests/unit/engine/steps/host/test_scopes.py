from dataclasses import replace

import pytest

from insula.engine.launch.holdings import ScopeGroup
from insula.engine.launch.limits import apply
from insula.engine.launch.placement import PlacementRequest, ScopePlacement
from insula.engine.launch.systemdscope import Manager
from insula.engine.spec import Bytes, Limits
from insula.engine.steps.host.hoststep import HostContext
from insula.engine.steps.host.scopes import AllowDevicesInScope, LimitScope, MakeScope
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies
from tests.unit.engine.steps.host import sites

UNIFIED = Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("cpu", "memory", "pids"))
STEP = MakeScope(
    why="asked for",
    manager=Manager.MACHINED,
    partition="/machine/prod",
    domain="web",
    uuid="8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f",
    owner=(1_000_000, 1_000_001),
)
GROUP = Cgroup(UNIFIED, "machine.slice/machine-lxc\\x2d4711\\x2dweb.scope/insula")


@pytest.fixture
def context() -> HostContext:
    made = sites.context(replace(sites.FACTS, hierarchies=UNIFIED, manager=Manager.MACHINED))
    made.child = 4711
    return made


def test_a_scope_is_made_around_the_child_and_released_when_taken_back(
    context: HostContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[PlacementRequest, int]] = []
    released: list[Cgroup] = []

    def settle(_: ScopePlacement, request: PlacementRequest, reserved: Cgroup | None, pid: int) -> Cgroup:
        assert reserved is None
        asked.append((request, pid))
        return GROUP

    monkeypatch.setattr(ScopePlacement, "settle", settle)
    monkeypatch.setattr(ScopePlacement, "release", lambda _, group: released.append(group))
    monkeypatch.setattr(Cgroup, "kill", lambda group: None)
    held = sites.perform(STEP, context)
    ((request, pid),) = asked
    assert (pid, request.identity, request.name) == (4711, 4711, "web")
    assert (request.uuid, request.owner) == (STEP.uuid, STEP.owner)
    assert request.placement.partition == "/machine/prod"
    assert context.group == GROUP
    assert held == (ScopeGroup(path=GROUP.path),)
    sites.take_away(held, context)
    assert released == [GROUP]


def test_a_refusal_of_systemds_is_passed_on(context: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(*_: object) -> Cgroup:
        raise OperationFailedError("systemd makes no scope for 'web': no")

    monkeypatch.setattr(ScopePlacement, "settle", settle)
    with pytest.raises(OperationFailedError, match="makes no scope"):
        sites.perform(STEP, context)
    assert context.group is None


def test_what_is_done_to_a_scope_waits_for_the_child_as_its_making_does() -> None:
    assert all(step.needs_child for step in (MakeScope, LimitScope, AllowDevicesInScope))


def test_the_plan_says_who_makes_the_scope() -> None:
    assert str(STEP) == "have systemd-machined make a scope for web in /machine/prod, and the group below it"


def test_limits_and_devices_are_those_of_any_group(context: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    context.group = GROUP
    done: list[object] = []
    monkeypatch.setattr(f"{apply.__module__}.apply", lambda group, limits: done.append((group, limits)))
    monkeypatch.setattr(Cgroup, "allow_devices", lambda group, rules: done.append((group, tuple(rules))))
    limits, rules = Limits(memory=Bytes(1 << 20)), (DeviceRule(kind="c", major=1, minor=3),)
    assert sites.perform(LimitScope(why="asked for", limits=limits), context) == ()
    assert sites.perform(AllowDevicesInScope(why="asked for", rules=rules), context) == ()
    assert done == [(GROUP, limits), (GROUP, rules)]
