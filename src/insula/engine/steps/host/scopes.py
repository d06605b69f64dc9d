"""Steps that have the host's systemd make the container's control group, around its first process, and set it up."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.placement import PlacementRequest, ScopePlacement
from insula.engine.spec import CgroupPlacement
from insula.engine.steps.host.groups import AllowDevices, LimitGroup, RefuseSocketOptions
from insula.engine.steps.host.hoststep import HostStep, Site, Undo
from insula.engine.systemdscope import Manager


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeScope(HostStep):
    """Have systemd make a scope around the child, and a group for the container below it.

    manager: whether by way of systemd-machined; domain, uuid: of the container; owner: the host's ids of the guest's
    root, None for a container without a user namespace.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "have {manager} make a scope for {domain} in {partition}, and the group below it"

    manager: Manager
    partition: str
    domain: str
    uuid: str
    owner: tuple[int, int] | None

    async def perform(self, site: Site) -> Undo | None:
        placement = ScopePlacement(hierarchies=site.facts.hierarchies, manager=self.manager)
        request = PlacementRequest(
            name=self.domain,
            identity=site.child,
            uuid=self.uuid,
            placement=CgroupPlacement(partition=self.partition),
            owner=self.owner,
        )
        group = site.group = await site.offload(partial(placement.settle, request, None, site.child))

        async def release() -> None:
            await site.offload(partial(placement.release, group))

        return release


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
