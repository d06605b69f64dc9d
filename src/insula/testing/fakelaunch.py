"""What a launch makes on a fake host: a control group, one process, and nothing else; and how that is taken away."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.attempt import LaunchAttempt
from insula.engine.launch.holdings import ControlGroup, Holding, Interfaces
from insula.engine.launch.release import Inside, Release
from insula.engine.launch.runningcontainer import Running
from insula.engine.plan.plan import CloneOptions, LaunchPlan
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.execution import Execute
from insula.engine.steps.host.groups import LimitGroup, MakeGroup, SeatGroup
from insula.engine.steps.host.hoststep import HostStep
from insula.errors import InsulaError
from insula.kernel.cgroups import Cgroup
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakehost import FakeHost
from insula.testing.fakerunning import FakeRunning

Connect = Callable[[ContainerSpec], tuple[ConnectedInterface, ...]]


def fake_plan(spec: ContainerSpec) -> LaunchPlan:
    """Return a plan of the fewest steps: everything else is the kernel's."""
    placement = spec.cgroup
    return LaunchPlan(
        before=(
            MakeGroup(
                why="the guest is watched, limited and ended by it",
                partition=placement.partition,
                domain=spec.name,
                name=placement.name,
                owner=None,
            ),
            LimitGroup(why="it has some", limits=spec.limits),
            SeatGroup(why="it is asked for"),
        ),
        clone=CloneOptions(namespaces=()),
        child_early=(),
        meanwhile=(),
        inside=(Execute(why="it is what all is for", argv=list(spec.init.argv), env=[]),),
    )


class FakeAttempt(LaunchAttempt):
    """An attempt whose group and first process are a fake host's.

    connect: makes a guest's interfaces, together with its group.
    """

    def __init__(self, host: FakeHost, *, connect: Connect, **parts: Any) -> None:
        super().__init__(**parts)
        self._host = host
        self._connect = connect

    async def _made_by(self, step: HostStep) -> tuple[Holding, ...]:
        if not isinstance(step, MakeGroup):
            return await super()._made_by(step)
        context = self._context
        (meant,) = step.announce(context.identity)
        assert isinstance(meant, ControlGroup)
        context.group = cast("Cgroup", self._host.make_group(meant.path, maker=context.launch))
        return ControlGroup(path=meant.path), Interfaces(connected=self._connect(self._spec))

    def _opened(self, child: int) -> int:
        if child not in self._host.processes:
            raise ProcessLookupError(child)
        return self._host.processes[child].born

    def _described(self, *, hold: bool, mount: int | None) -> Running:
        described = super()._described(hold=hold, mount=mount)
        running = FakeRunning.of(replace(described.record, boot=self._host.boot), self._host)
        running.awaiting_exec, running.unmet = hold, described.unmet
        return running


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeRelease(Release):
    """Takes groups of the host's memory away; nothing else is there."""

    host: FakeHost

    async def walk(
        self, holdings: Sequence[Holding], launch: str | None, *, inside: Inside | None = None
    ) -> list[OSError | InsulaError]:
        failures: list[OSError | InsulaError] = []
        for path in [each.path for each in reversed(holdings) if isinstance(each, ControlGroup)]:
            group = self.host.group(path)
            if None in (launch, group.maker) or launch == group.maker:
                try:
                    await self._end(group)
                except OSError as error:
                    failures.append(error)
        return failures

    async def _end(self, group: FakeGroup) -> None:
        if group.inside:
            await self.offload(partial(self._emptied, group))
        else:
            self.host.remove_group(group.path)

    def _emptied(self, group: FakeGroup) -> None:
        with suppress(OSError):
            group.kill()
        self.host.remove_group(group.path)
