import asyncio
from dataclasses import replace

import pytest

from insula.engine.launch.holdings import ScopeGroup
from insula.engine.launch.placement import ScopePlacement
from insula.engine.launch.readyscopes import ReadyScope, ReadyScopes
from insula.engine.launch.systemdscope import Manager, ScopeError, Scopes
from insula.engine.steps.host import scopes
from insula.engine.steps.host.hoststep import HostContext
from insula.engine.steps.host.scopes import TakeScope
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.unit.engine.launch.fakescopes import Stand
from tests.unit.engine.steps.host import sites

UNIFIED = Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("cpu", "memory", "pids"))
OWNER = (1_000_000, 1_000_001)
STEP = TakeScope(why="asked for", manager=Manager.MACHINED, partition="/machine/prod", domain="web", owner=OWNER)
GROUP = Cgroup(UNIFIED, "machine.slice/machine-insula\\x2d1.scope/insula")


class Shelf(ReadyScopes):
    """What stands ready, and what is made when it is waited for."""

    def __init__(self, *, ready: bool = False, refusal: str = "") -> None:
        super().__init__(Scopes(), UNIFIED)
        self.slices: list[str] = []
        self.back: list[ReadyScope] = []
        self._stands = ready
        self._refusal = refusal

    def take_at_once(self, slice_name: str) -> ReadyScope | None:
        return self._scope(slice_name) if self._stands else None

    def take(self, slice_name: str) -> ReadyScope:
        if self._refusal:
            raise ScopeError(self._refusal)
        return self._scope(slice_name)

    def give_back(self, taken: ReadyScope) -> None:
        self.back.append(taken)

    def _scope(self, slice_name: str) -> ReadyScope:
        self.slices.append(slice_name)
        return ReadyScope(unit="machine-insula\\x2d1.scope", slice=slice_name, group=GROUP, placeholder=Stand())


def context(shelf: ReadyScopes) -> HostContext:
    made = sites.context(replace(sites.FACTS, hierarchies=UNIFIED, manager=Manager.MACHINED))
    made.scopes = shelf
    return made


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is done to the group, which is nowhere."""
    happened: list[object] = []
    monkeypatch.setattr(Cgroup, "delegate", lambda group, owner: happened.append(("delegate", group.path, owner)))
    monkeypatch.setattr(Cgroup, "into_fd", lambda group: None)
    monkeypatch.setattr(scopes, "set_maker", lambda group, launch: happened.append(("maker", group.path, launch)))
    return happened


@pytest.mark.parametrize("ready", [True, False])
def test_a_scope_is_taken_or_awaited_and_given_back_once_the_guest_is_in_it(ready: bool, done: list[object]) -> None:
    shelf = Shelf(ready=ready)
    at = context(shelf)
    offload = at.offload = sites.Offload()
    assert sites.perform(STEP, at) == (ScopeGroup(path=GROUP.path),)
    assert offload.count == (0 if ready else 1)
    assert shelf.slices == ["machine-prod.slice"]
    assert done == [("delegate", GROUP.path, OWNER), ("maker", GROUP.path, "a1")]
    assert at.group == GROUP
    assert shelf.back == []
    at.close()
    at.close()
    assert [each.unit for each in shelf.back] == ["machine-insula\\x2d1.scope"]


def test_a_scope_that_is_made_for_a_start_that_was_given_up_is_given_back(done: list[object]) -> None:
    shelf = Shelf()
    at = context(shelf)

    async def scenario() -> None:
        begun, wait = asyncio.Event(), asyncio.Event()

        async def slowly(function):  # type: ignore[no-untyped-def]
            begun.set()
            try:
                await wait.wait()
            finally:
                at.close()
                function()

        at.offload = slowly
        start = asyncio.ensure_future(STEP.perform(at))
        await begun.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(scenario())
    assert [each.slice for each in shelf.back] == ["machine-prod.slice"]
    assert at.scope is None
    assert done == []


def test_a_scope_that_nobody_makes_is_a_clear_error(done: list[object]) -> None:
    at = context(Shelf(refusal="the system bus cannot be reached"))
    with pytest.raises(
        OperationFailedError, match="systemd makes no scope for 'web': the system bus cannot be reached"
    ):
        sites.perform(STEP, at)
    assert at.group is None
    assert done == []


def test_a_plan_for_another_kind_of_host_is_broken() -> None:
    with pytest.raises(RuntimeError, match="where nobody makes any"):
        sites.perform(STEP, sites.context())


def test_a_group_in_a_scope_is_released_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[Cgroup] = []
    monkeypatch.setattr(ScopePlacement, "released_at_once", lambda _, group: False)
    monkeypatch.setattr(ScopePlacement, "release", lambda _, group: released.append(group))
    monkeypatch.setattr(Cgroup, "kill", lambda group: None)
    sites.take_away((ScopeGroup(path=GROUP.path),), context(Shelf()))
    assert [group.path for group in released] == [GROUP.path]


def test_the_plan_says_who_is_told_of_the_scope() -> None:
    assert str(STEP) == "take a scope in /machine/prod for web, and have systemd-machined know it"
