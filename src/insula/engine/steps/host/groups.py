"""Steps that make the container's control groups, before anything of it runs."""

from dataclasses import dataclass, replace
from typing import ClassVar

from insula.engine.launch import limits as limiting
from insula.engine.launch.placement import DirectPlacement, PlacementRequest
from insula.engine.spec import CgroupPlacement, Limits
from insula.engine.steps.host.hoststep import HostContext, HostStep, Undo
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies, SocketOption
from insula.kernel.fds import Fd


def group_of(context: HostContext) -> Cgroup:
    """Return the control group that an earlier step has made."""
    if context.group is None:
        raise RuntimeError("the plan uses a control group that no step of it makes")
    return context.group


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupStep(HostStep):
    """A step that makes groups of our own.

    domain: the container's name; name: the group's, with {id} for the domain's id, None for libvirt's usual one; owner:
    the host's ids of the guest's root, who may make groups below, None for a container without a user namespace.
    """

    partition: str
    domain: str
    name: str | None
    owner: tuple[int, int] | None

    def make(self, context: HostContext, hierarchies: Hierarchies) -> Undo:
        """Make the group in these hierarchies, and name it in all; return how to remove it from them."""
        request = PlacementRequest(
            name=self.domain,
            identity=context.identity,
            placement=CgroupPlacement(partition=self.partition, name=self.name),
            owner=self.owner,
        )
        part = DirectPlacement(hierarchies=hierarchies).reserve(request)
        context.group = Cgroup(context.facts.hierarchies, part.path)

        async def remove() -> None:
            await context.offload(part.remove)

        return remove


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeGroup(GroupStep):
    """Make the group in the unified hierarchy, where the first process is born into it."""

    phrase: ClassVar[str] = "make the control group of {domain} below {partition}"

    async def perform(self, context: HostContext) -> Undo | None:
        undo = self.make(context, replace(context.facts.hierarchies, v1=()))
        try:
            into = group_of(context).into_fd()
        except OSError:
            await undo()
            raise
        if into is not None:
            context.clone_fds["cgroup"] = Fd(into)
        return undo


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeControllerGroups(GroupStep):
    """Make the group in every v1 hierarchy; the first process joins these itself."""

    phrase: ClassVar[str] = "make it in the v1 hierarchies too"

    async def perform(self, context: HostContext) -> Undo | None:
        undo = self.make(context, replace(context.facts.hierarchies, v2=None, v2_controllers=()))
        try:
            joins = group_of(context).join_fds()
        except OSError:
            await undo()
            raise
        context.fds |= {f"join{number}": Fd(fd) for number, fd in enumerate(joins)}
        return undo


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitGroup(HostStep):
    """Set limits while no program of the guest is in the group yet."""

    phrase: ClassVar[str] = "set its limits"

    limits: Limits

    async def perform(self, context: HostContext) -> Undo | None:
        limiting.apply(group_of(context), self.limits)
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowDevices(HostStep):
    """Refuse all device nodes but these."""

    phrase: ClassVar[str] = "allow the devices {rules}, and none else"

    rules: tuple[DeviceRule, ...]

    async def perform(self, context: HostContext) -> Undo | None:
        group_of(context).allow_devices(self.rules)
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseSocketOptions(HostStep):
    """Refuse options of sockets to every process of the group, whatever call they come by."""

    phrase: ClassVar[str] = "refuse the socket options {options}"

    options: tuple[SocketOption, ...]

    async def perform(self, context: HostContext) -> Undo | None:
        group_of(context).refuse_socket_options(self.options)
        return None
