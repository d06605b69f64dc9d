"""From a libvirt domain to the container the engine launches: pure, one part a function.

What needs a look at the host (files, ids, interfaces, device nodes) arrives as fragments; see `preparation`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from insula.engine.coreplace import CorePlace
from insula.engine.policy.capabilities import kept
from insula.engine.policy.syscalls import IO_URING_CALLS, KEYRING_CALLS, USERFAULTFD_CALLS
from insula.engine.securitymodule import APPARMOR, security_model
from insula.engine.spec import (
    ALL_NAMESPACES,
    CgroupPlacement,
    ContainerSpec,
    Device,
    GroupLayout,
    IdMap,
    Limits,
    Mount,
    Namespace,
    Process,
    ResourceLimit,
    Root,
    Seccomp,
    SharedNamespace,
)
from insula.errors import InternalError, UnsupportedConfigError
from insula.kernel.cgroups import partition_path
from insula.model.boot import Os
from insula.model.devices import CharacterDeviceType
from insula.model.domain import DomainDefinition
from insula.model.extensions import CORE_USUAL, ClockShift, DefinedShare, KernelFeature, ShareType, ShownGroups
from insula.model.foreign import ForeignElement
from insula.model.scalars import UNLIMITED, DomainName, OnOff, YesNo
from insula.model.security import LabelType
from insula.model.validate import validate
from insula.network.guestnetwork import GuestNetwork
from insula.service.domainlimits import memory_policy_of

DEFAULT_PARTITION = "/machine"
"""Where libvirt puts its domains' control groups."""

HOSTNAME_MAX = 64
"""Bytes the kernel takes: uts namespace, sethostname(2)."""
_NOT_IN_HOSTNAMES = re.compile(r"[^A-Za-z0-9.-]+")

PidOf = Callable[[str], int]
"""The pid of a domain's first process by the domain's name; raises what fits when there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragments:
    """The parts of a container that other rooms make, and what holds for those that say nothing.

    idmap: None for a privileged container; environment: of its init, beside what the definition has; machine_view:
    whether one that does not say so has one.
    """

    root: Root
    mounts: tuple[Mount, ...]
    idmap: IdMap | None
    network: GuestNetwork
    devices: tuple[Device, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)
    machine_view: bool = False


def check(domain: DomainDefinition) -> None:
    """Refuse what cannot, or must not, be started. Raises: UnsupportedConfigError saying what to change."""
    validate(domain)
    for console in domain.devices.consoles:
        if console.type is not CharacterDeviceType.PTY:
            raise UnsupportedConfigError(
                f"a console is of type '{console.type}'; a container's consoles are of type 'pty': change it"
            )
    model = security_model()
    for label in domain.security_labels:
        if label.type is not LabelType.NONE and label.model not in (None, "none", model):
            raise UnsupportedConfigError(
                f"the security label model '{label.model}' cannot be applied on this host, whose model is '{model}'; "
                f"remove the <seclabel>, or make it <seclabel type='none' model='{label.model}'/>"
            )


def specification(domain: DomainDefinition, fragments: Fragments, pid_of: PidOf) -> ContainerSpec:
    """Return what the engine launches for domain, which was checked.

    Raises: what pid_of raises for a namespace shared with a domain that does not run.
    """
    shared = (*fragments.network.shared, *_shared(domain, pid_of))
    offsets = _time_offsets(domain)
    return ContainerSpec(
        name=domain.name,
        uuid=str(domain.uuid),
        root=fragments.root,
        init=_init(domain, fragments.environment),
        hostname=domain.settings.hostname or hostname_for(domain.name, domain.uuid),
        idmap=fragments.idmap,
        privileged=fragments.idmap is None,
        namespaces=ALL_NAMESPACES | ({Namespace.TIME} if offsets is not None else frozenset()),
        shared_namespaces=shared,
        time_offsets=offsets,
        machine_view=_machine_view(domain, usual=fragments.machine_view),
        network=fragments.network.kind,
        network_share=fragments.network.share,
        interfaces=fragments.network.interfaces,
        nameservers=tuple(map(str, domain.settings.nameservers)) or fragments.network.nameservers,
        search_domains=domain.settings.search_domains,
        hosts=tuple((str(each.address), tuple(each.names.split())) for each in domain.settings.hosts),
        mounts=fragments.mounts,
        devices=fragments.devices,
        consoles=len(domain.devices.consoles),
        channels=tuple(each.port for each in domain.devices.channels if each.port is not None),
        limits=fragments.limits,
        seated=True,
        cgroup=CgroupPlacement(partition=_partition(domain)),
        group_layout=_GROUP_LAYOUTS[domain.settings.shown_groups],
        capabilities=_capabilities(domain, privileged=fragments.idmap is None),
        seccomp=_seccomp(domain),
        resource_limits=_resource_limits(domain),
        memory_policy=memory_policy_of(domain),
        notifies=domain.settings.readiness is not None and domain.settings.readiness.notifies,
        core_dumps=_core_place(domain),
        profile=_profile(domain),
        sysctls=tuple((each.name, each.value) for each in domain.settings.kernel_settings),
    )


_GROUP_LAYOUTS = {None: GroupLayout.FITTING, ShownGroups.V1: GroupLayout.V1, ShownGroups.V2: GroupLayout.V2}


def _machine_view(domain: DomainDefinition, *, usual: bool) -> bool:
    said = domain.settings.machine_view
    return usual if said is None else said is YesNo.YES


def hostname_for(name: DomainName, uuid: UUID) -> str:
    """Return a domain's name as a host name: of labels of letters, digits and inner hyphens, at most 64 bytes.

    What cannot be in one becomes hyphens; of a name with nothing else, the UUID's beginning is left: hostname(7).
    """
    labels = (each.strip("-") for each in _NOT_IN_HOSTNAMES.sub("-", name)[:HOSTNAME_MAX].split("."))
    return ".".join(filter(None, labels)) or f"guest-{str(uuid)[:8]}"


def _init(domain: DomainDefinition, environment: tuple[tuple[str, str], ...]) -> Process:
    return Process(
        argv=(str(domain.os.program), *domain.os.arguments),
        env=tuple({**dict(environment), **dict(_environment(domain.os))}.items()),
        cwd=str(domain.os.directory or "/"),
        user=domain.os.user,
        group=domain.os.group,
    )


def _environment(os: Os) -> tuple[tuple[str, str], ...]:
    """What libvirt's LXC driver tells a guest beside what the engine tells each, and what the definition has."""
    values = {"HOME": "/"}
    command_line = next((_text(each.item) for each in os.foreign if _is_command_line(each.item)), None)
    if command_line is not None and not os.is_machine:
        values["LIBVIRT_LXC_CMDLINE"] = command_line
    values.update((each.name, each.value) for each in os.environment)
    return tuple(values.items())


def _is_command_line(item: object) -> bool:
    """libvirt's <cmdline> means nothing here but what the guest makes of it, so the model only keeps it."""
    return isinstance(item, ForeignElement) and item.name == "cmdline"


def _text(item: object) -> str:
    assert isinstance(item, ForeignElement)
    return "".join(each for each in item.content if isinstance(each, str))


def _capabilities(domain: DomainDefinition, *, privileged: bool) -> frozenset[str] | None:
    """None leaves the engine's default set."""
    wanted = domain.features.capabilities if domain.features is not None else None
    if wanted is None:
        return None
    states = {str(each.capability): each.state is OnOff.ON for each in wanted.states}
    return kept(wanted.policy, states, privileged=privileged)


_FEATURE_CALLS = (
    (KernelFeature.KEYRINGS, KEYRING_CALLS),
    (KernelFeature.IO_URING, IO_URING_CALLS),
    (KernelFeature.USERFAULTFD, USERFAULTFD_CALLS),
)
"""What is let through by the names of calls."""


def _seccomp(domain: DomainDefinition) -> Seccomp:
    """What is allowed besides: the names were checked when the domain was defined."""
    allowed = domain.settings.allowed
    features = {each.feature for each in allowed}
    return Seccomp(
        allow=tuple(name for feature, names in _FEATURE_CALLS if feature in features for name in names),
        families=tuple(each.family for each in allowed if each.family is not None),
        netlink=tuple(each.netlink for each in allowed if each.netlink is not None),
        transports=tuple(each.transport for each in allowed if each.transport is not None),
        upper_layers=KernelFeature.TCP_ULP in features,
        packet_rings=KernelFeature.PACKET_RINGS in features,
        new_mounts=True if KernelFeature.MOUNTS in features else None,
    )


def _core_place(domain: DomainDefinition) -> CorePlace | None:
    wanted = domain.settings.core_dumps
    if wanted is None:
        return None
    return CorePlace(pattern=wanted.pattern, most=(CORE_USUAL if wanted.limit is None else wanted.limit) * 1024)


def _resource_limits(domain: DomainDefinition) -> tuple[ResourceLimit, ...]:
    limits = []
    for each in domain.settings.limits:
        soft, hard = (None if bound == UNLIMITED else int(bound) for bound in each.bounds)
        limits.append(ResourceLimit(name=each.name.upper(), soft=soft, hard=hard))
    return tuple(limits)


def _partition(domain: DomainDefinition) -> str:
    chosen = domain.resource.partition if domain.resource is not None else None
    return partition_path(str(chosen or DEFAULT_PARTITION))


def _shared(domain: DomainDefinition, pid_of: PidOf) -> tuple[SharedNamespace, ...]:
    """The namespaces joined instead of made, other than the network's."""
    if domain.lxc is None:
        return ()
    wanted = ((Namespace.IPC, domain.lxc.ipc), (Namespace.UTS, domain.lxc.uts))
    return tuple(SharedNamespace(kind=kind, path=_path(kind, share, pid_of)) for kind, share in wanted if share)


def _path(kind: Namespace, share: DefinedShare, pid_of: PidOf) -> str:
    match share.type:
        case ShareType.NAME:
            return f"/proc/{pid_of(share.value)}/ns/{kind.value}"
        case ShareType.PID:
            return f"/proc/{share.value}/ns/{kind.value}"
        case ShareType.NETNS:
            raise InternalError(f"a share of type 'netns' was accepted for {kind.value}")


def _time_offsets(domain: DomainDefinition) -> tuple[int, int] | None:
    wanted = domain.settings.time_namespace
    if wanted is None:
        return None
    return _seconds(wanted.monotonic), _seconds(wanted.boot_time)


def _seconds(shift: ClockShift | None) -> int:
    return 0 if shift is None else shift.seconds


def _profile(domain: DomainDefinition) -> str | None:
    """Return the AppArmor profile that a definition names; empty if it wants none, None if it leaves that open."""
    for label in domain.security_labels:
        if label.model not in (None, APPARMOR):
            continue
        if label.type is LabelType.NONE:
            return ""
        if label.type is LabelType.STATIC:
            return label.label
    return None
