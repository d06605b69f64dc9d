"""A definition as it looks while it runs: with id, aliases, terminals and the host's ends of interfaces; and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import PurePosixPath
from typing import TypeVar

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.runningcontainer import Running
from insula.kernel.pty import path_in_devpts
from insula.model.devices import CharacterDeviceType, Console, ConsoleSource, Devices, HostDevice
from insula.model.domain import DomainDefinition, completed
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface
from insula.model.livevalues import without_live
from insula.model.security import LabelType, SecurityLabel

UNLABELLED = SecurityLabel(type=LabelType.NONE, model="none")
"""What a domain runs under where the host has no security labels; never part of a definition."""

AnyDevice = TypeVar("AnyDevice", Disk, Filesystem, Interface, Console, HostDevice)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What only a running domain has. terminals: those of the host that show consoles, by the consoles' places."""

    id: int
    connected: tuple[ConnectedInterface, ...]
    terminals: Mapping[int, PurePosixPath]


def facts_of(container: Running) -> RunFacts:
    """Return what there is of a container now."""
    return RunFacts(
        id=container.id,
        connected=container.record.connected,
        terminals={place: PurePosixPath(path_in_devpts(master)) for place, master in container.shown.items()},
    )


def running(domain: DomainDefinition, facts: RunFacts) -> DomainDefinition:
    """Return domain with what only a running one has."""
    return replace(
        domain,
        id=facts.id,
        devices=_running_devices(domain.devices, facts),
        security_labels=domain.security_labels or (UNLABELLED,),
    )


def defined(domain: DomainDefinition) -> DomainDefinition:
    """Return domain without what only a running one has: what may be kept, compared, and started again."""
    plain = completed(without_live(domain))
    consoles = tuple(
        replace(each, source=None) if each.type is CharacterDeviceType.PTY else each for each in plain.devices.consoles
    )
    return replace(
        plain,
        devices=replace(plain.devices, consoles=consoles),
        security_labels=tuple(each for each in plain.security_labels if each != UNLABELLED),
    )


def _running_devices(devices: Devices, facts: RunFacts) -> Devices:
    return named(
        replace(
            devices,
            interfaces=_with_host_ends(devices.interfaces, facts.connected),
            consoles=_with_terminals(devices.consoles, facts.terminals),
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


def _with_host_ends(interfaces: Sequence[Interface], connected: Sequence[ConnectedInterface]) -> tuple[Interface, ...]:
    """Interfaces and their ends on the host belong together by the guest's MAC address."""
    ends = {each.mac.lower(): each.host for each in connected if each.host}
    return tuple(
        replace(each, target=ends.get(str(each.mac).lower(), each.target)) if each.mac is not None else each
        for each in interfaces
    )


def _with_terminals(consoles: Sequence[Console], paths: Mapping[int, PurePosixPath]) -> tuple[Console, ...]:
    """Consoles with the terminals of the host that show them, and without those of an earlier run or daemon.

    Never the guest's own: a path that leads through a guest's root leads wherever the guest wants.
    """
    return tuple(
        replace(each, tty=paths.get(place), source=ConsoleSource(path=paths[place]) if place in paths else None)
        for place, each in enumerate(consoles)
    )
