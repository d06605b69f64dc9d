"""Devices of an Incus or LXD instance, and those of a domain. Source: Incus's documentation, devices."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from insula.conversion.amounts import read_address, read_size
from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.fstabs import device_node
from insula.conversion.yamltree import YamlNode
from insula.model.devices import (
    HostDevice,
    HostDeviceAddress,
    HostDeviceMode,
    HostDeviceSource,
    HostDeviceType,
    StartupPolicy,
)
from insula.model.domain import DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemSource, FilesystemType
from insula.model.interfaces import (
    MTU,
    VLAN_ID,
    GuestDevice,
    Interface,
    InterfaceSource,
    InterfaceType,
    IpvlanMode,
    SourceMode,
    Vlan,
    VlanTag,
)
from insula.model.scalars import BusNumber, OnOff, UsbId, read_integer, read_mac_address
from insula.model.sizes import KiB, kib_of

POOLS = PurePosixPath("/var/lib/incus/storage-pools")
_USB_ID = re.compile(r"[0-9a-fA-F]{1,4}")
_TRUE = frozenset({"true", "1", "yes", "on"})
_MODES = {"bridge": SourceMode.BRIDGE, "vepa": SourceMode.VEPA, "private": SourceMode.PRIVATE}
_ADVICE: Mapping[str, str] = {
    "proxy": "insula network forward leads ports of networks to guests",
    "gpu": "give its nodes by <hostdev mode='capabilities'>",
    "unix-hotplug": "give its node by <hostdev mode='capabilities'>",
    "infiniband": "give its network device by <hostdev type='net'>",
}
"""What stands in for devices that there are none of."""


@dataclass(kw_only=True, slots=True)
class _IncusDevice:
    """One device while it is read. used: options that somebody has taken."""

    draft: DomainDraft
    name: str
    node: YamlNode
    used: set[str] = field(default_factory=lambda: {"type"})

    def text(self, option: str) -> str | None:
        self.used.add(option)
        found = self.node.members().get(option)
        return found.text if found is not None and found.text else None

    def is_on(self, option: str) -> bool:
        return (self.text(option) or "").lower() in _TRUE

    def entry(self, option: str = "") -> ForeignEntry:
        found = self.node.members().get(option, self.node)
        key = f"devices.{self.name}.{option}" if option else f"devices.{self.name}"
        return ForeignEntry(key=key, value=found.text, line=found.line)


def take_incus_device(draft: DomainDraft, name: str, node: YamlNode, instance: str, mac: str | None) -> None:
    """Make of a device what it is of a domain. instance: whose; mac: what it was given at a run."""
    device = _IncusDevice(draft=draft, name=name, node=node)
    kind = node.members()["type"].text if "type" in node.members() else ""
    match kind:
        case "disk":
            _disk(device, instance)
        case "nic":
            _card(device, mac)
        case "unix-char" | "unix-block":
            _node(device, block=kind == "unix-block")
        case "usb":
            _usb(device)
        case "none":
            return
        case _:
            draft.lost(device.entry(), f"there is no device of type {quoted(kind)}", _ADVICE.get(kind, ""))
            return
    for option, value in node.members().items():
        if option not in device.used and value.text not in ("", "false"):
            draft.lost(device.entry(option), f"a {kind} has no such option here", _OPTIONS.get(option, ""))


_OPTIONS: Mapping[str, str] = {
    "ipv4.address": "<host> of a virtual network reserves addresses",
    "ipv6.address": "<host> of a virtual network reserves addresses",
    "limits.ingress": "<bandwidth><inbound>",
    "limits.egress": "<bandwidth><outbound>",
    "limits.max": "<bandwidth>",
    "security.mac_filtering": "<filterref filter='clean-traffic'/>",
    "security.ipv4_filtering": "<filterref filter='clean-traffic'/>",
    "security.ipv6_filtering": "<filterref filter='clean-traffic'/>",
    "limits.read": "<blkiotune><device>",
    "limits.write": "<blkiotune><device>",
    "size": "put the tree on a file system of that size",
}


def _disk(device: _IncusDevice, instance: str) -> None:
    draft, place, source, pool = device.draft, device.text("path"), device.text("source"), device.text("pool")
    read_only = device.is_on("readonly")
    target = draft.path(device.entry("path"), place or "")
    if target is None:
        return
    if target == ROOT:
        root = POOLS / (pool or "default") / "containers" / instance / "rootfs"
        if "/" in instance or ".." in root.parts:
            draft.lost(device.entry(), "its pool or instance has no name that a directory can have")
            return
        draft.changed(device.entry(), f"the tree is taken to be {root}", "mount or copy it, and name where it is")
        draft.root = Filesystem(source=FilesystemSource(directory=root), target=ROOT, read_only=read_only)
    elif source is not None and source.startswith("tmpfs:"):
        size = device.text("size")
        try:
            usage = kib_of(read_size(size)) if size else KiB(65536)
        except ValueError:
            draft.lost(device.entry("size"), f"{quoted(size or '')} is no size")
            usage = KiB(65536)
        made = FilesystemSource(usage=max(KiB(4), usage))
        draft.filesystems.append(Filesystem(type=FilesystemType.RAM, source=made, target=target, read_only=read_only))
    elif pool is not None or source is None:
        draft.lost(device.entry(), "volumes of a pool are not mounted", "mount it on the host, and show that directory")
    else:
        _shown(device, target, source, read_only=read_only)


def _shown(device: _IncusDevice, target: PurePosixPath, source: str, *, read_only: bool) -> None:
    path = device.draft.path(device.entry("source"), source)
    if path is None:
        return
    kind, made = FilesystemType.MOUNT, FilesystemSource(directory=path)
    if path.is_relative_to("/dev"):
        kind, made = FilesystemType.BLOCK, FilesystemSource(device=path)
    shift = None if device.is_on("shift") or kind is FilesystemType.BLOCK else OnOff.OFF
    device.used |= {"recursive", "required"}
    device.draft.filesystems.append(Filesystem(type=kind, source=made, target=target, read_only=read_only, idmap=shift))


def _node(device: _IncusDevice, *, block: bool) -> None:
    draft = device.draft
    source, place = device.text("source"), device.text("path")
    path = draft.path(device.entry(), source or place or "")
    device.used |= {"major", "minor", "mode", "uid", "gid", "required"}
    if path is None:
        return
    if not path.is_relative_to("/dev"):
        draft.lost(device.entry(), f"{path} is no node below /dev")
        return
    if place is not None and place != str(path):
        draft.changed(device.entry("path"), f"the device is {path} in the guest, as on the host")
    draft.host_devices.append(device_node(path, block=block))


def _usb(device: _IncusDevice) -> None:
    """Incus gives all devices that fit, and starts without them; here it is one, by its model or its place."""
    numbers = [device.text(each) for each in ("vendorid", "productid")]
    place = [device.text(each) for each in ("busnum", "devnum")]
    device.used |= {"mode", "uid", "gid"}
    optional = None if device.is_on("required") else StartupPolicy.OPTIONAL
    vendor, product = (int(each, 16) if each and _USB_ID.fullmatch(each) else None for each in numbers)
    bus, number = (int(each) if each and each.isdecimal() else None for each in place)
    model = vendor is not None and product is not None
    if not model and (bus is None or number is None):
        device.draft.lost(
            device.entry(), "it says neither the model of one device nor its place", "vendorid and productid"
        )
        return
    source = HostDeviceSource(startup_policy=optional)
    if model:
        source = replace(source, vendor=UsbId(vendor or 0), product=UsbId(product or 0))
    if bus is not None and number is not None:
        source = replace(source, address=HostDeviceAddress(bus=BusNumber(bus), device=BusNumber(number)))
    device.draft.host_devices.append(HostDevice(type=HostDeviceType.USB, source=source))


def _card(device: _IncusDevice, mac: str | None) -> None:
    network, parent, kind = device.text("network"), device.text("parent"), device.text("nictype")
    if network is not None:
        device.draft.changed(
            device.entry("network"), f"{quoted(network)} is taken to be a bridge of the host", _OF_NETWORK
        )
    kind, parent = kind or ("bridged" if network or parent else "p2p"), parent or network
    match kind:
        case "bridged" if parent:
            _interface(device, InterfaceType.BRIDGE, InterfaceSource(bridge=parent), mac)
        case "macvlan" if parent:
            mode = _MODES.get(device.text("mode") or "bridge", SourceMode.BRIDGE)
            _interface(device, InterfaceType.DIRECT, InterfaceSource(device=parent, mode=mode), mac)
        case "ipvlan" if parent:
            kinds = {each.value: each for each in IpvlanMode}
            ipvlan = kinds.get(device.text("mode") or "", IpvlanMode.L3S)
            _interface(
                device,
                InterfaceType.DIRECT,
                InterfaceSource(device=parent, mode=SourceMode.BRIDGE, ipvlan=ipvlan),
                None,
            )
        case "physical" if parent:
            moved = HostDevice(
                mode=HostDeviceMode.CAPABILITIES,
                type=HostDeviceType.NET,
                source=HostDeviceSource(interface=parent),
            )
            device.draft.host_devices.append(moved)
        case "p2p" | "routed":
            _interface(device, InterfaceType.ETHERNET, None, mac, addressed=True)
        case _:
            device.draft.lost(
                device.entry(), f"there is no card of type {quoted(kind)}", "choose a bridge or a macvlan"
            )


_OF_NETWORK = "or make a virtual network (insula network create)"


def _interface(
    device: _IncusDevice,
    kind: InterfaceType,
    source: InterfaceSource | None,
    mac: str | None,
    *,
    addressed: bool = False,
) -> None:
    draft, name = device.draft, device.text("name")
    made = Interface(type=kind, source=source, target=device.text("host_name"))
    for option, text in (
        ("hwaddr", device.text("hwaddr") or mac),
        ("mtu", device.text("mtu")),
        ("vlan", device.text("vlan")),
    ):
        try:
            if text and option == "hwaddr" and (source is None or source.ipvlan is None):
                made = replace(made, mac=read_mac_address(text))
            elif text and option == "mtu":
                made = replace(made, mtu=read_integer(text, *MTU))
            elif text and option == "vlan" and kind is InterfaceType.BRIDGE:
                made = replace(made, vlan=Vlan(tags=(VlanTag(id=read_integer(text, *VLAN_ID)),)))
            elif text and option == "vlan":
                draft.lost(device.entry(option), "only a port of a bridge has a tag here")
        except ValueError:
            draft.lost(device.entry(option), f"{quoted(text or '')} cannot be")
    if addressed:
        for option in ("ipv4.address", "ipv6.address"):
            for word in (device.text(option) or "").replace(",", " ").split():
                try:
                    made = replace(made, ips=(*made.ips, read_address(word)))
                except ValueError:
                    draft.lost(device.entry(option), f"{quoted(word)} is no IP address")
    guest = GuestDevice(device=name or (device.name if len(device.name) < 16 else None))
    draft.interfaces.append(replace(made, guest=guest))


def incus_devices(domain: DomainDefinition) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the devices of a domain by their names."""
    root = domain.root
    if root is not None:
        yield "root", {"type": "disk", "path": "/", "pool": "default", **_access(root)}
    for number, each in enumerate(domain.devices.filesystems):
        options = None if each.is_root else _mounted(each, maps=not domain.settings.privileged)
        if options is not None:
            yield f"disk{number}", {"type": "disk", "path": str(each.target), **options, **_access(each)}
    for number, card in enumerate(domain.devices.interfaces):
        source = card.source or InterfaceSource()
        options = _nic(card, source)
        if options is not None:
            name = card.guest.device if card.guest is not None and card.guest.device else f"eth{number}"
            yield name, {"type": "nic", **options, "name": name}
    for number, device in enumerate(domain.devices.host_devices):
        node = device.source.character or device.source.block
        if node is not None:
            kind = "unix-char" if device.source.character else "unix-block"
            yield f"device{number}", {"type": kind, "source": str(node), "path": str(node)}
        elif device.is_usb and device.source.vendor is not None and device.source.product is not None:
            model = {"vendorid": f"{device.source.vendor:04x}", "productid": f"{device.source.product:04x}"}
            required = device.source.startup_policy is not StartupPolicy.OPTIONAL
            yield f"device{number}", {"type": "usb", **model, "required": str(required).lower()}
        elif device.moved_interface is not None:
            yield f"device{number}", {"type": "nic", "nictype": "physical", "parent": device.moved_interface}


def _access(each: Filesystem) -> dict[str, str]:
    return {"readonly": "true"} if each.read_only else {}


def _mounted(each: Filesystem, *, maps: bool) -> dict[str, str] | None:
    match each.type, each.source:
        case FilesystemType.MOUNT, FilesystemSource(directory=PurePosixPath() as path):
            return {"source": str(path), **({"shift": "true"} if maps and each.is_mapped else {})}
        case FilesystemType.BLOCK, FilesystemSource(device=PurePosixPath() as path):
            return {"source": str(path)}
        case FilesystemType.RAM, FilesystemSource(usage=int() as usage):
            return {"source": "tmpfs:", "size": f"{usage}KiB"}
    return None


def _nic(card: Interface, source: InterfaceSource) -> dict[str, str] | None:
    match card.type:
        case InterfaceType.BRIDGE if source.bridge and card.virtual_port is None:
            options = {"nictype": "bridged", "parent": source.bridge}
            if card.vlan is not None and len(card.vlan.tags) == 1 and card.vlan.trunk is None:
                options["vlan"] = str(card.vlan.tags[0].id)
        case InterfaceType.DIRECT if source.device and source.ipvlan is not None:
            return {"nictype": "ipvlan", "parent": source.device, "mode": source.ipvlan.value}
        case InterfaceType.DIRECT if source.device and source.mode in _MODES.values():
            mode = next(word for word, each in _MODES.items() if each is source.mode)
            options = {"nictype": "macvlan", "parent": source.device, "mode": mode}
        case InterfaceType.ETHERNET:
            options = {"nictype": "p2p"}
        case _:
            return None
    for option, value in (("hwaddr", card.mac), ("mtu", card.mtu), ("host_name", card.target)):
        if value is not None:
            options[option] = str(value)
    return options
