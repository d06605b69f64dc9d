"""The [Network] section of systemd's .nspawn files, and interfaces of a domain. Source: systemd.nspawn(5)."""

from collections.abc import Callable, Iterator, Mapping

from insula.conversion.domaindraft import HOST, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.nspawnsyntax import parts_of, truth
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceSource, HostDeviceType
from insula.model.domain import DomainDefinition
from insula.model.interfaces import GuestDevice, Interface, InterfaceSource, InterfaceType, IpvlanMode, SourceMode

GUEST_END = "host0"
"""What a guest's end of its virtual Ethernet link is called."""
_ADVICE = "choose a bridge of the host, or a virtual network (insula network create)"


def take_nspawn_networks(draft: DomainDraft, entries: Mapping[str, list[ForeignEntry]]) -> None:
    """Make interfaces from the settings of [Network], by their keys.

    systemd-nspawn@.service asks for a private network with a virtual Ethernet link: that is what no word of it means.
    """
    for key, take in _TAKERS.items():
        for entry in entries.get(key, ()):
            for word in entry.value.split():
                take(draft, entry, word)
    link, private = (_last(entries, key) for key in ("VirtualEthernet", "Private"))
    cards = draft.interfaces or draft.host_devices
    for entry in filter(None, (link, private)):
        if truth(entry.value) is None:
            draft.lost(entry, f"{quoted(entry.value)} is neither yes nor no")
    if link is not None and truth(link.value) is False:
        if not cards and (private is None or truth(private.value) is False):
            draft.network_share = HOST
    elif link is None and private is not None and truth(private.value) is False:
        draft.network_share = HOST
    elif link is None and private is not None and truth(private.value):
        return
    elif not any(each.guest == GuestDevice(device=GUEST_END) for each in draft.interfaces):
        draft.interfaces.insert(0, Interface(type=InterfaceType.ETHERNET, guest=GuestDevice(device=GUEST_END)))


def _last(entries: Mapping[str, list[ForeignEntry]], key: str) -> ForeignEntry | None:
    found = entries.get(key)
    return found[-1] if found else None


def _bridge(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    source = InterfaceSource(bridge=word)
    draft.interfaces.append(Interface(type=InterfaceType.BRIDGE, source=source, guest=GuestDevice(device=GUEST_END)))


def _zone(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    draft.changed(entry, f"the bridge 'vz-{word[:15]}' is not made here", f"{_ADVICE}; or make that bridge on the host")
    _bridge(draft, entry, f"vz-{word}")


def _extra(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    host, *guest = parts_of(word)
    inside = guest[0] if guest and guest[0] else host
    draft.interfaces.append(Interface(type=InterfaceType.ETHERNET, target=host, guest=GuestDevice(device=inside)))


def _moved(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    name, *renamed = parts_of(word)
    if renamed and renamed[0] != name:
        draft.changed(entry, f"the device '{name[:15]}' keeps its name in the guest")
    source = HostDeviceSource(interface=name)
    draft.host_devices.append(HostDevice(mode=HostDeviceMode.CAPABILITIES, type=HostDeviceType.NET, source=source))


def _macvlan(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    name, *inside = parts_of(word)
    source = InterfaceSource(device=name, mode=SourceMode.BRIDGE)
    _direct(draft, source, inside[0] if inside else f"mv-{name}")


def _ipvlan(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    name, *inside = parts_of(word)
    source = InterfaceSource(device=name, mode=SourceMode.BRIDGE, ipvlan=IpvlanMode.L2)
    _direct(draft, source, inside[0] if inside else f"iv-{name}")


def _direct(draft: DomainDraft, source: InterfaceSource, name: str) -> None:
    guest = GuestDevice(device=name[:15])
    draft.interfaces.append(Interface(type=InterfaceType.DIRECT, source=source, guest=guest))


def _port(draft: DomainDraft, entry: ForeignEntry, word: str) -> None:
    draft.lost(entry, f"no port of the host leads to {quoted(word)}", "insula network forward leads ports of networks")


_TAKERS: Mapping[str, Callable[[DomainDraft, ForeignEntry, str], None]] = {
    "Bridge": _bridge,
    "Zone": _zone,
    "VirtualEthernetExtra": _extra,
    "Interface": _moved,
    "MACVLAN": _macvlan,
    "IPVLAN": _ipvlan,
    "Port": _port,
}


def nspawn_network_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    """Yield the settings of [Network]."""
    yield from _kind_of_network(domain)
    for card in domain.devices.interfaces:
        source = card.source or InterfaceSource()
        inside = card.guest.device if card.guest is not None else None
        match card.type:
            case InterfaceType.BRIDGE if source.bridge and not source.bridge.startswith("vz-"):
                yield "Network.Bridge", source.bridge
            case InterfaceType.BRIDGE if source.bridge:
                yield "Network.Zone", source.bridge.removeprefix("vz-")
            case InterfaceType.ETHERNET if card.target or (inside and inside != GUEST_END):
                host = card.target or inside
                yield "Network.VirtualEthernetExtra", f"{host}:{inside}" if inside and inside != host else str(host)
            case InterfaceType.DIRECT if source.device:
                key = "Network.MACVLAN" if source.ipvlan is None else "Network.IPVLAN"
                yield key, f"{source.device}:{inside}" if inside else source.device
    for device in domain.devices.host_devices:
        if device.moved_interface is not None:
            yield "Network.Interface", device.moved_interface


def _kind_of_network(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    share = domain.lxc.network if domain.lxc is not None else None
    if share == HOST:
        yield "Network.Private", "no"
        yield "Network.VirtualEthernet", "no"
        return
    yield "Network.Private", "yes"
    linked = any(
        each.type is InterfaceType.ETHERNET
        and not each.target
        and (each.guest is None or each.guest.device in (None, GUEST_END))
        for each in domain.devices.interfaces
    )
    bridged = any(each.type is InterfaceType.BRIDGE for each in domain.devices.interfaces)
    if linked or bridged:
        yield "Network.VirtualEthernet", "yes"
