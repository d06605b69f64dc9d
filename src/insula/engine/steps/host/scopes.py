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
class MakeScope(HostStep):
    """Have systemd make a scope around the child, and a group for the container below it.

    manager: whether by way of systemd-machined; domain, uuid: of the container; owner: the host's ids of the guest's
    root, None for a container without a user namespace.

    Nothing is announced: a scope that nobody was told of is empty once the child has ended, and systemd removes it.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "have {manager} make a scope for {domain} in {partition}, and the group below it"

    manager: Manager
    partition: str
    domain: str
    uuid: str
    owner: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        placement = ScopePlacement(hierarchies=context.facts.hierarchies, manager=self.manager)
        request = PlacementRequest(
            name=self.domain,
            identity=context.child,
            uuid=self.uuid,
            placement=CgroupPlacement(partition=self.partition),
            owner=self.owner,
        )
        group = context.group = await context.offload(partial(placement.settle, request, None, context.child))
        set_maker(group, context.launch)
        return (ScopeGroup(path=group.path),)


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
