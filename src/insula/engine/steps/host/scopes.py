"""Steps that have the host's systemd make the container's control group, around its first process, and set it up."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.launch.holdings import Holding, ScopeGroup
from insula.engine.launch.placement import PlacementRequest, ScopePlacement
from insula.engine.launch.systemdscope import Manager
from insula.engine.spec import CgroupPlacement
from insula.engine.steps.host.groups import AllowDevices, LimitGroup, RefuseSocketOptions
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.cgroups import set_maker


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeStep(HostStep):
    """A step on the scope. domain, uuid: of the container."""

    needs_child: ClassVar[bool] = True

    partition: str
    domain: str
    uuid: str

    def request(self, context: HostContext, owner: tuple[int, int] | None = None) -> PlacementRequest:
        return PlacementRequest(
            name=self.domain,
            identity=context.child,
            uuid=self.uuid,
            placement=CgroupPlacement(partition=self.partition),
            owner=owner,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AskForScope(ScopeStep):
    """Have systemd make a scope around the child, which takes it some milliseconds of its own.

    Nothing is held by it: a scope that nobody was told of is empty once the child has ended, and systemd removes it.
    """

    phrase: ClassVar[str] = "ask systemd for a scope of {domain} in {partition}"
    urgent: ClassVar[bool] = True

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        placement = _placement(context, context.facts.manager)
        request = self.request(context)
        context.awaited = placement.ask_at_once(request, context.child)
        if context.awaited is None:
            context.awaited = await context.offload(partial(placement.ask, request, context.child))
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeGroupInScope(ScopeStep):
    """Await the scope that was asked for, and make a group for the container below it. It blocks, so it goes aside.

    manager: whether systemd-machined is told of it, once the guest runs; owner: the host's ids of the guest's root,
    None for a container without a user namespace.
    """

    phrase: ClassVar[str] = "make the control group of {domain} below its scope, and have {manager} know it"

    manager: Manager
    owner: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        if context.awaited is None:
            raise RuntimeError("the plan awaits a scope that no step of it asks for")
        placement = _placement(context, self.manager)
        request = self.request(context, self.owner)
        group = context.group = placement.place(request, context.awaited)
        set_maker(group, context.launch)
        return (ScopeGroup(path=group.path),)


def _placement(context: HostContext, manager: Manager) -> ScopePlacement:
    return ScopePlacement(hierarchies=context.facts.hierarchies, manager=manager, scopes=context.scopes)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitScope(LimitGroup):
    """Set limits of a group that is made around the child."""

    needs_child: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowDevicesInScope(AllowDevices):
    """Refuse all device nodes but these, in a group that is made around the child."""

    needs_child: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseSocketOptionsInScope(RefuseSocketOptions):
    """Refuse options of sockets, in a group that is made around the child."""

    needs_child: ClassVar[bool] = True
