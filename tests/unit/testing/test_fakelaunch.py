"""A launch on a fake host makes a group and a process, in the plan's order; what is taken away was its own."""

import errno
from collections.abc import Iterator

import pytest

from insula.engine.launch.holdings import ControlGroup
from insula.engine.plan.plan import LaunchPlan
from insula.engine.spec import Bytes, ContainerSpec, DirectoryRoot, Limits
from insula.errors import StepError
from insula.kernel.cgroups import Hierarchies
from insula.testing import DirectLink, FakeEngine, FakeHost
from insula.testing.fakelaunch import FakeRelease, fake_plan

pytestmark = pytest.mark.asyncio
SPEC = ContainerSpec(
    name="web", uuid="1", root=DirectoryRoot(path="/srv"), consoles=0, limits=Limits(memory=Bytes(1 << 20))
)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


async def test_its_plan_survives_json_as_any_other() -> None:
    plan = fake_plan(SPEC)
    assert LaunchPlan.decode(plan.encode()) == plan


async def test_the_group_has_its_limits_and_bears_the_launch(host: FakeHost) -> None:
    running = await FakeEngine(host=host, link=DirectLink(host)).launch(SPEC)
    (group,) = host.groups.values()
    assert (group.path, group.maker) == (running.record.group, running.record.launch)
    assert group.memory.limits["memory"] == 1 << 20
    running.close()


async def test_a_refusal_is_told_in_the_words_of_the_step(host: FakeHost) -> None:
    def refuse(what: str) -> None:
        if what.startswith("make group"):
            raise OSError(errno.ENOSPC, "no space")

    host.before = refuse
    with pytest.raises(StepError, match=r"cannot make the control group of web below machine\.slice: no space"):
        await FakeEngine(host=host, link=DirectLink(host)).launch(SPEC)


async def test_a_group_is_taken_away_with_what_is_in_it_unless_another_launch_made_it(host: FakeHost) -> None:
    host.make_group("g", maker="a")
    process = host.clone(uuid="1", launch="a", group="g")
    release = FakeRelease(hierarchies=Hierarchies(), host=host)
    assert await release.walk((ControlGroup(path="g"),), "b") == []
    assert process.lives
    assert await release.walk((ControlGroup(path="g"), ControlGroup(path="never made", made=False)), "a") == []
    assert (process.lives, host.groups) == (False, {})


async def test_what_stays_is_told(host: FakeHost) -> None:
    def refuse(what: str) -> None:
        if what.startswith("remove"):
            raise OSError(errno.EBUSY, "busy")

    host.make_group("g", maker="a")
    host.before = refuse
    (failure,) = await FakeRelease(hierarchies=Hierarchies(), host=host).walk((ControlGroup(path="g"),), "a")
    assert isinstance(failure, OSError)
