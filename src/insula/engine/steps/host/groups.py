"""Steps that make the container's control groups, before anything of it runs."""

from dataclasses import dataclass, replace
from typing import ClassVar

from insula.engine import limits as limiting
from insula.engine.placement import DirectPlacement, PlacementRequest
from insula.engine.spec import CgroupPlacement, Limits
from insula.engine.steps.host.hoststep import HostStep, Site, Undo
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies, SocketOption
from insula.kernel.fds import Fd


def group_of(site: Site) -> Cgroup:
    """Return the control group that an earlier step has made."""
    if site.group is None:
        raise RuntimeError("the plan uses a control group that no step of it makes")
    return site.group


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

    def make(self, site: Site, hierarchies: Hierarchies) -> Undo:
        """Make the group in these hierarchies, and name it in all; return how to remove it from them."""
        request = PlacementRequest(
            name=self.domain,
            identity=site.identity,
            placement=CgroupPlacement(partition=self.partition, name=self.name),
            owner=self.owner,
        )
        part = DirectPlacement(hierarchies=hierarchies).reserve(request)
        site.group = Cgroup(site.facts.hierarchies, part.path)

        async def remove() -> None:
            await site.offload(part.remove)

        return remove


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeGroup(GroupStep):
    """Make the group in the unified hierarchy, where the first process is born into it."""

    phrase: ClassVar[str] = "make the control group of {domain} below {partition}"

    async def perform(self, site: Site) -> Undo | None:
        undo = self.make(site, replace(site.facts.hierarchies, v1=()))
        try:
            into = group_of(site).into_fd()
        except OSError:
            await undo()
            raise
        if into is not None:
            site.clone_fds["cgroup"] = Fd(into)
        return undo


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeControllerGroups(GroupStep):
    """Make the group in every v1 hierarchy; the first process joins these itself."""

    phrase: ClassVar[str] = "make it in the v1 hierarchies too"

    async def perform(self, site: Site) -> Undo | None:
        undo = self.make(site, replace(site.facts.hierarchies, v2=None, v2_controllers=()))
        try:
            joins = group_of(site).join_fds()
        except OSError:
            await undo()
            raise
        site.fds |= {f"join{number}": Fd(fd) for number, fd in enumerate(joins)}
        return undo


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitGroup(HostStep):
    """Set limits while no program of the guest is in the group yet."""

    phrase: ClassVar[str] = "set its limits"

    limits: Limits

    async def perform(self, site: Site) -> Undo | None:
        limiting.apply(group_of(site), self.limits)
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowDevices(HostStep):
    """Refuse all device nodes but these."""

    phrase: ClassVar[str] = "allow the devices {rules}, and none else"

    rules: tuple[DeviceRule, ...]

    async def perform(self, site: Site) -> Undo | None:
        group_of(site).allow_devices(self.rules)
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseSocketOptions(HostStep):
    """Refuse options of sockets to every process of the group, whatever call they come by."""

    phrase: ClassVar[str] = "refuse the socket options {options}"

    options: tuple[SocketOption, ...]

    async def perform(self, site: Site) -> Undo | None:
        group_of(site).refuse_socket_options(self.options)
        return None
