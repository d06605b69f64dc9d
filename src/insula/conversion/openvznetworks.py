"""OpenVZ's cards and addresses, and interfaces of a domain. Source: ctid.conf(5), NETIF and IP_ADDRESS."""

from collections.abc import Iterator

from insula.conversion.amounts import read_address
from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceSource, HostDeviceType
from insula.model.domain import DomainDefinition
from insula.model.interfaces import GuestDevice, Interface, InterfaceIp, InterfaceSource, InterfaceType
from insula.model.scalars import read_mac_address

ROUTED = "venet0"
"""The device of OpenVZ whose addresses the host routes."""
_KNOWN = frozenset({"ifname", "mac", "host_ifname", "bridge", "ip"})
_HARMLESS = frozenset({"host_mac", "mac_filter", "mac_renew", "ip_filter", "configure", "type"})


def read_addresses(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read the addresses of venet0, which is no card of its own: the host routes to them."""
    ips = _ips(draft, entry, entry.value.split())
    if not ips:
        return
    draft.changed(
        entry,
        "venet0 is a card of type ethernet here, and the host has no routes to it",
        "give the card a bridge or a virtual network, or routes by <source><ip/><route/></source>",
    )
    draft.interfaces.append(Interface(type=InterfaceType.ETHERNET, ips=ips, guest=GuestDevice(device=ROUTED)))


def _ips(draft: DomainDraft, entry: ForeignEntry, words: list[str]) -> tuple[InterfaceIp, ...]:
    ips = []
    for word in words:
        try:
            ips.append(read_address(word))
        except ValueError:
            draft.lost(entry, f"{quoted(word)} is no IP address")
    return tuple(ips)


def address_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    cards = (each for each in domain.devices.interfaces if _is_routed(each))
    ips = (ip for card in cards for ip in card.ips)
    yield "IP_ADDRESS", " ".join(str(ip.address) if ip.prefix is None else f"{ip.address}/{ip.prefix}" for ip in ips)


def _is_routed(card: Interface) -> bool:
    return card.type is InterfaceType.ETHERNET and card.guest == GuestDevice(device=ROUTED)


def read_netif(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read `ifname=eth0,mac=…,host_ifname=…,bridge=…;ifname=eth1…`."""
    for card in filter(None, entry.value.split(";")):
        words = [each.partition("=") for each in card.split(",") if each]
        settings = {name.strip(): value.strip() for name, _, value in words}
        for name, value in settings.items():
            if name not in _KNOWN | _HARMLESS:
                draft.lost(entry, f"{quoted(f'{name}={value}')} of a card has no equivalent")
        draft.interfaces.append(_card(draft, entry, settings))


def _card(draft: DomainDraft, entry: ForeignEntry, settings: dict[str, str]) -> Interface:
    bridge, name, mac = (settings.get(each) or None for each in ("bridge", "ifname", "mac"))
    try:
        known = read_mac_address(mac) if mac else None
    except ValueError:
        draft.lost(entry, f"{quoted(mac or '')} is not the MAC address of one station")
        known = None
    if bridge is None:
        draft.changed(entry, f"the card {quoted(name or '')} is on no bridge", "give it one, or a virtual network")
    return Interface(
        type=InterfaceType.BRIDGE if bridge else InterfaceType.ETHERNET,
        source=InterfaceSource(bridge=bridge) if bridge else None,
        mac=known,
        ips=_ips(draft, entry, settings.get("ip", "").replace("+", " ").split()),
        target=settings.get("host_ifname") or None,
        guest=GuestDevice(device=name) if name else None,
    )


def netif_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    """Yield the cards in one setting; they are numbered where they have no name."""
    cards = []
    for number, card in enumerate(domain.devices.interfaces):
        bridge = card.source.bridge if card.source is not None else None
        if card.type not in (InterfaceType.BRIDGE, InterfaceType.ETHERNET) or _is_routed(card):
            continue
        name = card.guest.device if card.guest is not None else None
        settings = {"ifname": name or f"eth{number}", "mac": card.mac, "host_ifname": card.target, "bridge": bridge}
        words = {key: value for key, value in settings.items() if value}
        if not any(mark in value for value in words.values() for mark in ",;="):
            cards.append(",".join(f"{key}={value}" for key, value in words.items()))
    yield "NETIF", ";".join(cards)
    moved = (each.moved_interface for each in domain.devices.host_devices)
    yield "NETDEV", " ".join(filter(None, moved))


def read_moved(draft: DomainDraft, entry: ForeignEntry) -> None:
    for name in entry.value.replace(",", " ").split():
        source = HostDeviceSource(interface=name)
        draft.host_devices.append(HostDevice(mode=HostDeviceMode.CAPABILITIES, type=HostDeviceType.NET, source=source))
