"""Steps that make the container's control groups, before anything of it runs."""

import errno
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import ClassVar

from insula.engine.interfacespec import NetworkShare
from insula.engine.launch import limits as limiting
from insula.engine.launch.holdings import ControlGroup, FormerDevices, Holding
from insula.engine.launch.placement import DirectPlacement, PlacementRequest
from insula.engine.spec import CgroupPlacement, Limits
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies, SocketOption, set_maker
from insula.kernel.cgroups.addressassembler import OwnAddresses
from insula.kernel.cgroups.addressprograms import hold_to
from insula.kernel.fds import Fd


def group_of(context: HostContext) -> Cgroup:
    """Return the control group that an earlier step has made."""
    if context.group is None:
        raise RuntimeError("the plan uses a control group that no step of it makes")
    return context.group


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRequest:
    """Where a group of our own is made. domain: the container's name; name: the group's, with {id} for the domain's id,
    None for libvirt's usual one."""

    partition: str
    domain: str
    name: str | None

    def placed(self, identity: int, owner: tuple[int, int] | None = None) -> PlacementRequest:
        """Return the place of a domain's group, by its id. owner: as in `PlacementRequest`."""
        return PlacementRequest(
            name=self.domain,
            identity=identity,
            placement=CgroupPlacement(partition=self.partition, name=self.name),
            owner=owner,
        )


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

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (ControlGroup(path=self._request(identity).path, made=False),)

    def make(self, context: HostContext, hierarchies: Hierarchies) -> Holding:
        """Make the group in these hierarchies, and have it name the launch; return what is held now."""
        part = DirectPlacement(hierarchies=hierarchies).reserve(self._request(context.identity))
        if hierarchies.v2 == context.facts.hierarchies.v2:
            set_maker(part, context.launch)
        context.group = Cgroup(context.facts.hierarchies, part.path)
        return ControlGroup(path=part.path)

    def _request(self, identity: int) -> PlacementRequest:
        request = GroupRequest(partition=self.partition, domain=self.domain, name=self.name)
        return request.placed(identity, self.owner)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeGroup(GroupStep):
    """Make the group in the unified hierarchy, where the first process is born into it."""

    phrase: ClassVar[str] = "make the control group of {domain} below {partition}"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        made = self.make(context, replace(context.facts.hierarchies, v1=()))
        into = group_of(context).into_fd()
        if into is not None:
            context.clone_fds["cgroup"] = Fd(into)
        return (made,)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeControllerGroups(GroupStep):
    """Make the group in every v1 hierarchy; the first process joins these itself."""

    phrase: ClassVar[str] = "make it in the v1 hierarchies too"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        made = self.make(context, replace(context.facts.hierarchies, v2=None, v2_controllers=()))
        joins = group_of(context).join_fds()
        context.fds |= {f"join{number}": Fd(fd) for number, fd in enumerate(joins)}
        return (made,)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitGroup(HostStep):
    """Set limits while no program of the guest is in the group yet."""

    phrase: ClassVar[str] = "set its limits"

    limits: Limits

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        limiting.apply(group_of(context), self.limits)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatGroup(HostStep):
    """Give the group the processors that were chosen for it, while no program of the guest is in it yet.

    Where the group above has others, or hands none down, the guest runs on what that has, and the launch tells so.
    """

    phrase: ClassVar[str] = "run it on the host's processors that are chosen for it"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        if context.processors:
            try:
                group_of(context).cpuset.pin_cpus(context.processors)
            except OSError as error:
                context.unmet.append(
                    f"it runs on every processor that its control group has, not on {context.processors}: "
                    f"{error.strerror} ({error.filename})"
                )
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowDevices(HostStep):
    """Refuse all device nodes but these."""

    phrase: ClassVar[str] = "allow the devices {rules}, and none else"

    rules: tuple[DeviceRule, ...]

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        group_of(context).allow_devices((*self.rules, *context.images.values()), context.loaded)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeDevices(HostStep):
    """Let a running guest use other device nodes than before. path: its group's; former: the rules until now."""

    phrase: ClassVar[str] = "allow the devices {rules} from now on"

    path: str
    rules: tuple[DeviceRule, ...]
    former: tuple[DeviceRule, ...]

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (FormerDevices(path=self.path, rules=self.former),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        rules = (*self.rules, *context.images.values())
        await context.offload(partial(group_of(context).allow_devices, rules))
        return self.announce(context.identity)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldToAddresses(HostStep):
    """Hold every socket of the group to a share of the host's network. loopback: what its 127.0.0.x are on the host."""

    phrase: ClassVar[str] = "hold its sockets to {share}"

    share: NetworkShare
    loopback: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        addresses = tuple(map(ip_address, self.share.addresses))
        own = OwnAddresses(
            ipv4=tuple(each for each in addresses if isinstance(each, IPv4Address)),
            ipv6=tuple(each for each in addresses if isinstance(each, IPv6Address)),
            ports=self.share.ports,
            loopback=IPv4Network(self.loopback),
        )
        scope = group_of(context).scope
        if scope is None:
            raise OSError(errno.EOPNOTSUPP, "only v2 groups have programs")
        hold_to(scope, own)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseSocketOptions(HostStep):
    """Refuse options of sockets to every process of the group, whatever call they come by."""

    phrase: ClassVar[str] = "refuse the socket options {options}"

    options: tuple[SocketOption, ...]

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        group_of(context).refuse_socket_options(self.options, context.loaded)
        return ()
