"""A definition as it looks while it runs: with id, aliases, terminals and the host's ends of interfaces; and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import PurePosixPath
from typing import TypeVar
from uuid import UUID

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import UserHelper
from insula.engine.launch.runningcontainer import Running
from insula.engine.securitymodule import APPARMOR
from insula.kernel.pty import path_in_devpts
from insula.model.devices import ChannelDevice, CharacterDeviceType, Console, ConsoleSource, Devices, HostDevice
from insula.model.domain import DomainDefinition, completed, unplugged
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface, InterfaceType
from insula.model.livevalues import without_live
from insula.model.networkport import port_uuid
from insula.model.scalars import YesNo
from insula.model.security import LabelType, SecurityLabel, is_given_label
from insula.model.usercards import BackendType, InterfaceBackend

UNLABELLED = SecurityLabel(type=LabelType.NONE, model="none")
"""What a domain runs under where the host has no security labels; never part of a definition."""

AnyDevice = TypeVar("AnyDevice", Disk, Filesystem, Interface, Console, ChannelDevice, HostDevice)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What only a running domain has. terminals: those of the host that show consoles, by the consoles' places;
    profile: the AppArmor profile that holds it, None for none."""

    id: int
    connected: tuple[ConnectedInterface, ...]
    terminals: Mapping[int, PurePosixPath]
    profile: str | None = None


def facts_of(container: Running) -> RunFacts:
    """Return what there is of a container now."""
    return RunFacts(
        id=container.id,
        connected=container.record.connected,
        terminals={place: PurePosixPath(path_in_devpts(master)) for place, master in container.shown.items()},
        profile=container.record.spec.profile or None,
    )


def running(domain: DomainDefinition, facts: RunFacts) -> DomainDefinition:
    """Return domain with what only a running one has."""
    return replace(
        domain,
        id=facts.id,
        devices=_running_devices(domain, facts),
        security_labels=_labelled(domain.security_labels, facts.profile),
    )


def defined(domain: DomainDefinition) -> DomainDefinition:
    """Return domain without what only a running one has: what may be kept, compared, and started again."""
    plain = completed(unplugged(without_live(domain)))
    consoles = tuple(
        replace(each, source=None) if each.type is CharacterDeviceType.PTY else each for each in plain.devices.consoles
    )
    return replace(
        plain,
        devices=replace(plain.devices, consoles=consoles),
        security_labels=chosen_labels(plain.security_labels),
    )


def _labelled(labels: tuple[SecurityLabel, ...], profile: str | None) -> tuple[SecurityLabel, ...]:
    """Return a definition's labels with what a profile of the host's choice makes of them, as libvirt shows it."""
    if profile is None or any(each.type is LabelType.STATIC and each.model == APPARMOR for each in labels):
        return labels or (UNLABELLED,)
    given = SecurityLabel(model=APPARMOR, relabel=YesNo.YES, label=profile, image_label=profile)
    return (*(each for each in labels if each.type is LabelType.NONE or each.model not in (None, APPARMOR)), given)


def chosen_labels(labels: tuple[SecurityLabel, ...]) -> tuple[SecurityLabel, ...]:
    """Return labels without those that a start gives by itself."""
    return tuple(each for each in labels if each != UNLABELLED and not is_given_label(each))


def _running_devices(domain: DomainDefinition, facts: RunFacts) -> Devices:
    return named(
        replace(
            domain.devices,
            interfaces=_with_host_ends(domain, facts.connected),
            consoles=_with_terminals(domain.devices.consoles, facts.terminals),
        )
    )


def named(devices: Devices) -> Devices:
    """Return devices with an alias each."""
    return replace(
        devices,
        disks=tuple(replace(each, alias=each.alias or each.target.device) for each in devices.disks),
        filesystems=_named(devices.filesystems, "fs"),
        interfaces=_named(devices.interfaces, "net"),
        consoles=_named(devices.consoles, "console"),
        channels=_named(devices.channels, "channel"),
        host_devices=_named(devices.host_devices, "hostdev"),
    )


def _named(devices: Sequence[AnyDevice], prefix: str) -> tuple[AnyDevice, ...]:
    """The devices with aliases by kind and place, as libvirt makes them; those that have one keep it."""
    taken = {each.alias for each in devices if each.alias}
    free = (name for number in count() if (name := f"{prefix}{number}") not in taken)
    done: list[AnyDevice] = []
    for place, each in enumerate(devices):
        own = f"{prefix}{place}"
        alias = each.alias or (own if own not in taken else next(free))
        taken.add(alias)
        done.append(replace(each, alias=alias))
    return tuple(done)


def with_host_ends(domain: DomainDefinition, connected: Sequence[ConnectedInterface]) -> DomainDefinition:
    """Return a running domain with the host's ends of interfaces that it was given meanwhile."""
    interfaces = _with_host_ends(domain, connected)
    if interfaces == domain.devices.interfaces:
        return domain
    return replace(domain, devices=replace(domain.devices, interfaces=interfaces))


def _with_host_ends(domain: DomainDefinition, connected: Sequence[ConnectedInterface]) -> tuple[Interface, ...]:
    """Interfaces and what they have on the host, an end or a helper, belong together by the guest's MAC address."""
    ends = {each.mac.lower(): each for each in connected}
    return tuple(
        _with_host_end(each, end, domain.uuid) if (end := ends.get(str(each.mac).lower())) is not None else each
        for each in domain.devices.interfaces
    )


def _with_host_end(card: Interface, end: ConnectedInterface, domain: UUID) -> Interface:
    source = card.source
    if card.type is InterfaceType.NETWORK and source is not None and source.network is not None:
        port = port_uuid(domain, source.network, str(card.mac))
        source = replace(source, port_id=port, bridge=end.bridge, device=end.device)
    backend = card.backend
    if end.helper is not None and end.helper.program is UserHelper.PASTA:
        backend = replace(backend or InterfaceBackend(), type=BackendType.PASST)
    return replace(card, target=end.host or card.target, source=source, backend=backend)


def _with_terminals(consoles: Sequence[Console], paths: Mapping[int, PurePosixPath]) -> tuple[Console, ...]:
    """Consoles with the terminals of the host that show them, and without those of an earlier run or daemon.

    Never the guest's own: a path that leads through a guest's root leads wherever the guest wants.
    """
    return tuple(
        replace(each, tty=paths.get(place), source=ConsoleSource(path=paths[place]) if place in paths else None)
        for place, each in enumerate(consoles)
    )
