"""Networks of LXC's configuration and interfaces of a domain: `lxc.net.N.*`, and `lxc.network.*` of LXC before 2.1.

Source: lxc.container.conf(5), NETWORK.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from insula.conversion.amounts import default_route, is_default, read_address
from insula.conversion.domaindraft import HOST, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.lxcsyntax import NETWORK
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceSource, HostDeviceType
from insula.model.domain import DomainDefinition
from insula.model.interfaces import (
    MTU,
    GuestDevice,
    Interface,
    InterfaceIp,
    InterfaceRoute,
    InterfaceSource,
    InterfaceType,
    IpvlanMode,
    LinkState,
    NativeMode,
    SourceMode,
    Vlan,
    VlanTag,
)
from insula.model.scalars import MacAddress, YesNo, read_integer, read_ip_address, read_mac_address

_MACVLAN = {
    "private": SourceMode.PRIVATE,
    "vepa": SourceMode.VEPA,
    "bridge": SourceMode.BRIDGE,
    "passthru": SourceMode.PASSTHROUGH,
}


@dataclass(kw_only=True, slots=True)
class _LxcNetwork:
    """What is known of one network. entry: its type's, to which findings belong that no other line has."""

    draft: DomainDraft
    label: str
    settings: Mapping[str, list[ForeignEntry]]
    entry: ForeignEntry
    used: set[str] = field(default_factory=set)

    def last(self, name: str) -> ForeignEntry | None:
        self.used.add(name)
        found = self.settings.get(name)
        return found[-1] if found else None

    def text(self, name: str) -> str | None:
        entry = self.last(name)
        return entry.value if entry is not None else None

    def every(self, name: str) -> list[ForeignEntry]:
        self.used.add(name)
        return self.settings.get(name, [])


def take_network(draft: DomainDraft, label: str, settings: Mapping[str, list[ForeignEntry]]) -> None:
    """Make an interface, or what else it is, from the settings of one network. label: what their keys begin with."""
    first = next(iter(settings.values()))[0]
    kind = settings.get("type", [None])[-1]
    if kind is None:
        draft.lost(first, f"{label} has no type", f"give it one: {label}.type = veth")
        return
    card = _LxcNetwork(draft=draft, label=label, settings=settings, entry=kind, used={"type"})
    reader = _KINDS.get(kind.value)
    if reader is None:
        draft.unknown(kind, f"there is no type of network {quoted(kind.value)}", f"choose of {', '.join(_KINDS)}")
        return
    reader(card)
    for name, entries in settings.items():
        if name not in card.used:
            _left(card, name, entries[-1])


def _left(card: _LxcNetwork, name: str, entry: ForeignEntry) -> None:
    """Note a setting that no kind of network took."""
    why = _LEFT.get(name)
    if why is None:
        card.draft.unknown(entry, "lxc.container.conf(5) has no such key", "look for a slip of the pen")
    elif name == "l2proxy" and entry.value == "0":
        return
    else:
        card.draft.lost(entry, *why)


_HOOK = (
    "no program of the host runs when a guest starts",
    "a hook of the host's network, or an interface of type ethernet, can stand in",
)
_LEFT: Mapping[str, tuple[str, str]] = {
    "flags": ("nothing is switched on here", ""),
    "link": ("this type of network has no link here", ""),
    "name": ("this type of network has no name in the guest here", ""),
    "mtu": ("this type of network has no MTU here", "set it on the host"),
    "hwaddr": ("this type of network keeps the address that it has", ""),
    "l2proxy": ("the host answers for no address of a guest's", "a bridge, or a routed network, can"),
    "ipv4.address": ("this type of network is given no addresses here", ""),
    "ipv6.address": ("this type of network is given no addresses here", ""),
    "ipv4.gateway": ("this type of network is given no route here", ""),
    "ipv6.gateway": ("this type of network is given no route here", ""),
    "veth.mode": ("the type has no such mode", ""),
    "veth.pair": ("the type has no end on the host", ""),
    "veth.ipv4.route": ("routes of the host are the host's", "give them by an interface of type ethernet"),
    "veth.ipv6.route": ("routes of the host are the host's", "give them by an interface of type ethernet"),
    "veth.vlan.id": ("the type is no port of a bridge", ""),
    "veth.vlan.tagged.id": ("the type is no port of a bridge", ""),
    "veth.n_rxqueues": ("the number of queues is the kernel's", ""),
    "veth.n_txqueues": ("the number of queues is the kernel's", ""),
    "vlan.id": ("the type has no tag", ""),
    "macvlan.mode": ("the type is no macvlan", ""),
    "ipvlan.mode": ("the type is no ipvlan", ""),
    "ipvlan.isolation": ("ipvlans of a device reach each other here, as with bridge", ""),
    "script.up": _HOOK,
    "script.down": _HOOK,
}


def _interface(card: _LxcNetwork, kind: InterfaceType, source: InterfaceSource | None) -> None:
    """Add an interface with what all kinds have: name, MTU, MAC address, addresses, gateways."""
    name = card.text("name")
    made = Interface(
        type=kind,
        mac=_mac(card),
        source=source,
        guest=GuestDevice(device=name) if name else None,
        mtu=_mtu(card),
    )
    card.last("flags")
    if card.settings.get("flags") is None:
        card.draft.changed(card.entry, "the card is up when the guest starts", "<link state='down'> unplugs it")
    ips, routes = _addressing(card)
    card.draft.interfaces.append(replace(made, ips=ips, routes=routes))


def _mac(card: _LxcNetwork) -> MacAddress | None:
    entry = card.last("hwaddr")
    if entry is None:
        return None
    if "x" in entry.value.lower():
        card.draft.changed(
            entry, "a MAC address is chosen once, and stays", "change <mac> where it must have a beginning"
        )
        return None
    try:
        return read_mac_address(entry.value)
    except ValueError:
        card.draft.lost(entry, f"{quoted(entry.value)} is not the MAC address of one station")
        return None


def _mtu(card: _LxcNetwork) -> int | None:
    entry = card.last("mtu")
    try:
        return read_integer(entry.value, *MTU) if entry is not None else None
    except ValueError:
        assert entry is not None
        card.draft.lost(entry, f"{quoted(entry.value)} is no MTU from {MTU[0]} to {MTU[1]}")
        return None


def _addressing(card: _LxcNetwork) -> tuple[tuple[InterfaceIp, ...], tuple[InterfaceRoute, ...]]:
    """Return the addresses and routes of the guest's side."""
    ips = []
    for entry in (*card.every("ipv4.address"), *card.every("ipv6.address")):
        address, _, broadcast = entry.value.partition(" ")
        try:
            ips.append(read_address(address))
        except ValueError:
            card.draft.lost(entry, f"{quoted(entry.value)} is no IP address with a prefix")
            continue
        if broadcast.strip():
            card.draft.changed(entry, "the broadcast address is the network's last one")
    routes = []
    for entry in (*card.every("ipv4.gateway"), *card.every("ipv6.gateway")):
        try:
            routes.append(default_route(read_ip_address(entry.value)))
        except ValueError:
            card.draft.lost(entry, f"{quoted(entry.value)} is no address of a gateway", "write its address")
    return tuple(ips), tuple(routes)


def _veth(card: _LxcNetwork) -> None:
    bridge, mode = card.text("link"), card.last("veth.mode")
    if mode is not None and mode.value != "bridge":
        card.draft.changed(
            mode, "the host's side gets no routes by itself", "give them by <source><ip/><route/></source>"
        )
        bridge = None
    kind = InterfaceType.BRIDGE if bridge else InterfaceType.ETHERNET
    _interface(card, kind, InterfaceSource(bridge=bridge) if bridge else None)
    made = card.draft.interfaces[-1]
    vlan = _vlan(card) if bridge else None
    source = made.source
    if not bridge:
        hops = [*card.every("veth.ipv4.route"), *card.every("veth.ipv6.route")]
        for entry in hops:
            card.draft.lost(
                entry, "a route to the guest's side needs an address of the guest's", "write <source><route/>"
            )
    card.draft.interfaces[-1] = replace(made, source=source, target=card.text("veth.pair"), vlan=vlan)


def _vlan(card: _LxcNetwork) -> Vlan | None:
    plain, tagged = card.last("veth.vlan.id"), card.every("veth.vlan.tagged.id")
    tags = []
    for entry in (*filter(None, (plain,)), *tagged):
        try:
            number = read_integer(entry.value, 1, 4094)
        except ValueError:
            card.draft.lost(entry, f"{quoted(entry.value)} is no tag of a VLAN")
            continue
        native = NativeMode.UNTAGGED if entry is plain and tagged else None
        tags.append(VlanTag(id=number, native_mode=native))
    return Vlan(trunk=YesNo.YES if tagged else None, tags=tuple(tags)) if tags else None


def _macvlan(card: _LxcNetwork) -> None:
    mode = card.last("macvlan.mode")
    _direct(card, _MACVLAN.get(mode.value if mode is not None else "private"), mode)


def _direct(card: _LxcNetwork, mode: SourceMode | None, entry: ForeignEntry | None) -> None:
    link = card.text("link")
    if link is None:
        card.draft.lost(card.entry, "there is no device of the host below it", f"write {card.label}.link")
        return
    if mode is None and entry is not None:
        card.draft.unknown(entry, f"there is no mode {quoted(entry.value)}", f"choose of {', '.join(_MACVLAN)}")
    _interface(card, InterfaceType.DIRECT, InterfaceSource(device=link, mode=mode or SourceMode.PRIVATE))


def _ipvlan(card: _LxcNetwork) -> None:
    link, mode, isolation = card.text("link"), card.last("ipvlan.mode"), card.last("ipvlan.isolation")
    words = {each.value: each for each in IpvlanMode}
    if link is None:
        card.draft.lost(card.entry, "there is no device of the host below it", f"write {card.label}.link")
        return
    if mode is not None and mode.value not in words:
        card.draft.unknown(mode, f"there is no mode {quoted(mode.value)}", f"choose of {', '.join(words)}")
    if isolation is not None and isolation.value != "bridge":
        card.draft.lost(isolation, *_LEFT["ipvlan.isolation"])
    chosen = words.get(mode.value, IpvlanMode.L3) if mode is not None else IpvlanMode.L3
    source = InterfaceSource(device=link, mode=SourceMode.BRIDGE, ipvlan=chosen)
    _interface(card, InterfaceType.DIRECT, source)


def _moved(card: _LxcNetwork, device: str | None) -> None:
    if not device:
        card.draft.lost(card.entry, "no device of the host is named", f"write {card.label}.link")
        return
    card.last("flags")
    made = HostDevice(
        mode=HostDeviceMode.CAPABILITIES, type=HostDeviceType.NET, source=HostDeviceSource(interface=device)
    )
    ips, routes = _addressing(card)
    card.draft.host_devices.append(replace(made, ips=ips, routes=routes))


def _phys(card: _LxcNetwork) -> None:
    _moved(card, card.text("link"))


def _vlan_device(card: _LxcNetwork) -> None:
    link, tag = card.text("link"), card.text("vlan.id")
    if not link or not tag:
        card.draft.lost(
            card.entry, "a VLAN needs a link and a tag", f"write {card.label}.link and {card.label}.vlan.id"
        )
        return
    name = f"{link}.{tag}"
    card.draft.changed(
        card.entry,
        f"no VLAN is made of a device: the guest gets the host's '{name}'",
        "make it on the host before a start",
    )
    _moved(card, name)


def _none(card: _LxcNetwork) -> None:
    card.last("flags")
    card.draft.network_share = HOST


def _empty(card: _LxcNetwork) -> None:
    card.last("flags")
    card.draft.private_network = True


_KINDS: Mapping[str, Callable[[_LxcNetwork], None]] = {
    "none": _none,
    "empty": _empty,
    "veth": _veth,
    "vlan": _vlan_device,
    "macvlan": _macvlan,
    "ipvlan": _ipvlan,
    "phys": _phys,
}


def lxc_network_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    """Yield the keys of a domain's interfaces, and of the network devices that it is given, numbered from 0."""
    number = 0
    for card in domain.devices.interfaces:
        settings = _written(card)
        if settings is not None:
            yield from ((f"{NETWORK}{number}.{name}", value) for name, value in settings)
            number += 1
    for device in domain.devices.host_devices:
        name = device.moved_interface
        if name is not None:
            settings = [("type", "phys"), ("link", name), ("flags", "up"), *_told(device)]
            yield from ((f"{NETWORK}{number}.{key}", value) for key, value in settings)
            number += 1
    share = domain.lxc.network if domain.lxc is not None else None
    if share == HOST:
        yield f"{NETWORK}{number}.type", "none"
    elif share is not None:
        yield "lxc.namespace.share.net", share.value
    elif number == 0 and domain.features is not None and domain.features.private_network:
        yield f"{NETWORK}0.type", "empty"


def _written(card: Interface) -> list[tuple[str, str]] | None:
    """Return the settings of an interface by their names; None: LXC has no such network."""
    source = card.source or InterfaceSource()
    match card.type:
        case InterfaceType.BRIDGE if source.bridge and not card.virtual_port:
            settings = [("type", "veth"), ("link", source.bridge)]
        case InterfaceType.ETHERNET:
            settings = [("type", "veth")]
        case InterfaceType.DIRECT if source.device and source.ipvlan is not None:
            settings = [("type", "ipvlan"), ("ipvlan.mode", source.ipvlan.value), ("link", source.device)]
        case InterfaceType.DIRECT if source.device:
            modes = {mode: word for word, mode in _MACVLAN.items()}
            mode = modes.get(source.mode or SourceMode.VEPA, "vepa")
            settings = [("type", "macvlan"), ("macvlan.mode", mode), ("link", source.device)]
        case _:
            return None
    if card.link is not LinkState.DOWN:
        settings.append(("flags", "up"))
    if card.mac:
        settings.append(("hwaddr", card.mac))
    if card.guest is not None and card.guest.device:
        settings.append(("name", card.guest.device))
    if card.mtu is not None:
        settings.append(("mtu", str(card.mtu)))
    if card.target and settings[0] == ("type", "veth"):
        settings.append(("veth.pair", card.target))
    if card.vlan is not None and card.type is InterfaceType.BRIDGE:
        settings += _tags(card.vlan)
    return settings + _told(card)


def _tags(vlan: Vlan) -> list[tuple[str, str]]:
    if vlan.trunk is not YesNo.YES and len(vlan.tags) == 1:
        return [("veth.vlan.id", str(vlan.tags[0].id))]
    return [
        ("veth.vlan.id" if each.native_mode is NativeMode.UNTAGGED else "veth.vlan.tagged.id", str(each.id))
        for each in vlan.tags
    ]


def _told(card: Interface | HostDevice) -> list[tuple[str, str]]:
    """Return addresses and default gateways."""
    told = [
        (f"ipv{ip.address.version}.address", f"{ip.address}" if ip.prefix is None else f"{ip.address}/{ip.prefix}")
        for ip in card.ips
    ]
    gateways = [each for each in card.routes if _is_plain_default(each)]
    return told + [(f"ipv{each.gateway.version}.gateway", str(each.gateway)) for each in gateways]


def _is_plain_default(route: InterfaceRoute) -> bool:
    try:
        return is_default(route)
    except ValueError:
        return False
