"""What is plugged into a guest: `<devices>`, consoles and host devices; see also `filesystems` and `interfaces`."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface, InterfaceIp, InterfaceRoute
from insula.model.scalars import BusNumber, OnOff, UsbId, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, always, is_generated_alias

_RUN_SOCKET = re.compile(r".*/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/channel\d+")
DEFAULT_EMULATOR = PurePosixPath("/usr/libexec/insula-keeper")
"""What libvirt calls the emulator is the program that parents the guest; the element is answered, never executed."""


class CharacterDeviceType(StrEnum):
    """Where a console's host side is."""

    PTY = "pty"
    DEV = "dev"
    FILE = "file"
    PIPE = "pipe"
    UNIX = "unix"
    TCP = "tcp"
    UDP = "udp"
    NULL = "null"
    STDIO = "stdio"
    VC = "vc"
    SPICEVMC = "spicevmc"
    SPICEPORT = "spiceport"
    NMDM = "nmdm"
    QEMU_VDAGENT = "qemu-vdagent"
    DBUS = "dbus"


class ConsoleTargetType(StrEnum):
    """What the guest sees; all mean the same pty for a container."""

    LXC = "lxc"
    SERIAL = "serial"
    VIRTIO = "virtio"
    XEN = "xen"
    OPENVZ = "openvz"
    SCLP = "sclp"
    SCLPLM = "sclplm"


def _is_pty(source: object) -> bool:
    """Whether the source is a pty that was opened at start."""
    return isinstance(source, ConsoleSource) and source.path is not None and source.path.is_relative_to("/dev/pts")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSource(Mapped):
    """`<source>`: the host's side; of a pty only while running."""

    mode: Annotated[str | None, Attribute("mode")] = None
    path: Annotated[PurePosixPath | None, Attribute("path")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleTarget(Mapped):
    """`<target>`. port: 0 is the console, the next ones are further ttys."""

    type: Annotated[ConsoleTargetType | None, Attribute("type")] = None
    port: Annotated[int | None, Attribute("port", within=(0, 65535))] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleLogFile(Mapped):
    """`<log>`: a file that gets a copy of what the guest prints."""

    file: Annotated[PurePosixPath, Attribute("file")]
    append: Annotated[OnOff | None, Attribute("append")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Console(Mapped):
    """`<console>`. tty: the host's side, while running."""

    type: Annotated[CharacterDeviceType, Attribute("type")] = CharacterDeviceType.PTY
    tty: Annotated[PurePosixPath | None, Attribute("tty", live=always)] = None
    source: Annotated[ConsoleSource | None, Element("source", live=_is_pty)] = None
    log: Annotated[ConsoleLogFile | None, Element("log")] = None
    target: Annotated[ConsoleTarget | None, Element("target")] = None
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None


class ChannelTargetType(StrEnum):
    """How a guest has a channel; a container, like a virtio port, by a name below /dev/virtio-ports."""

    VIRTIO = "virtio"
    GUESTFWD = "guestfwd"
    XEN = "xen"


class ChannelState(StrEnum):
    """Whether a program in the guest has it open."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelTarget(Mapped):
    """`<target>`. state: while running."""

    type: Annotated[ChannelTargetType, Attribute("type")]
    name: Annotated[str | None, Attribute("name")] = None
    state: Annotated[ChannelState | None, Attribute("state", live=always)] = None


def _is_of_a_run(source: object) -> bool:
    """Whether the source is the socket that a run was given in its own directory."""
    path = source.path if isinstance(source, ConsoleSource) else None
    return path is not None and bool(_RUN_SOCKET.fullmatch(str(path)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelDevice(Mapped):
    """`<channel>`: a line for bytes between a program in the guest and one of the host."""

    type: Annotated[CharacterDeviceType, Attribute("type")]
    source: Annotated[ConsoleSource | None, Element("source", live=_is_of_a_run)] = None
    target: Annotated[ChannelTarget | None, Element("target")] = None
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None

    @property
    def port(self) -> str | None:
        """The name by which a container has it; None for one of a virtual machine, which is only kept."""
        if self.type is not CharacterDeviceType.UNIX or self.target is None:
            return None
        return self.target.name if self.target.type is ChannelTargetType.VIRTIO else None


class HostDeviceMode(StrEnum):
    SUBSYSTEM = "subsystem"
    CAPABILITIES = "capabilities"


class HostDeviceType(StrEnum):
    """With mode subsystem: usb (and what only virtual machines take); with capabilities: storage, misc, net."""

    USB = "usb"
    STORAGE = "storage"
    MISC = "misc"
    NET = "net"
    PCI = "pci"
    SCSI = "scsi"
    SCSI_HOST = "scsi_host"
    MDEV = "mdev"


class StartupPolicy(StrEnum):
    """What a start does without the device: mandatory and requisite refuse it, optional goes on."""

    MANDATORY = "mandatory"
    REQUISITE = "requisite"
    OPTIONAL = "optional"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDeviceAddress(Mapped):
    """`<address>`: bus and device of USB. found: where a device given by its product is at present, of a run only."""

    bus: Annotated[BusNumber | None, Attribute("bus")] = None
    device: Annotated[BusNumber | None, Attribute("device")] = None
    found: Annotated[YesNo | None, Attribute("insula:found")] = None


def is_found_address(address: HostDeviceAddress) -> bool:
    """Whether an address was found out, not asked for."""
    return address.found is YesNo.YES


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDeviceSource(Mapped):
    """`<source>`: a USB device by product or address, or a node of the host by path, or a network device by name."""

    vendor: Annotated[UsbId | None, Element("vendor", attribute="id")] = None
    product: Annotated[UsbId | None, Element("product", attribute="id")] = None
    address: Annotated[HostDeviceAddress | None, Element("address", live=is_found_address)] = None
    startup_policy: Annotated[StartupPolicy | None, Attribute("startupPolicy")] = None
    block: Annotated[PurePosixPath | None, Element("block")] = None
    character: Annotated[PurePosixPath | None, Element("char")] = None
    interface: Annotated[str | None, Element("interface")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDevice(Mapped):
    """`<hostdev>`: a device of the host, given to the guest."""

    mode: Annotated[HostDeviceMode, Attribute("mode")] = HostDeviceMode.SUBSYSTEM
    type: Annotated[HostDeviceType, Attribute("type")]
    managed: Annotated[YesNo | None, Attribute("managed")] = None
    source: Annotated[HostDeviceSource, Element("source")]
    ips: Annotated[tuple[InterfaceIp, ...], Element("ip")] = ()
    routes: Annotated[tuple[InterfaceRoute, ...], Element("route")] = ()
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None

    @property
    def is_usb(self) -> bool:
        return self.mode is HostDeviceMode.SUBSYSTEM and self.type is HostDeviceType.USB

    @property
    def moved_interface(self) -> str | None:
        """The network device of the host that moves into the guest; None: it is no such device."""
        wanted = self.mode is HostDeviceMode.CAPABILITIES and self.type is HostDeviceType.NET
        return self.source.interface if wanted else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Graphics(Mapped):
    """`<graphics>`: kept, and mapped only so that its password is not shown to everybody; a container has no screen."""

    type: Annotated[str, Attribute("type")]
    password: Annotated[str | None, Attribute("passwd", secret=always)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Devices(Mapped):
    """`<devices>`. Kinds that mean nothing for a container (input, video, sound, …) are kept as they came."""

    emulator: Annotated[PurePosixPath | None, Element("emulator")] = None
    disks: Annotated[tuple[Disk, ...], Element("disk")] = ()
    filesystems: Annotated[tuple[Filesystem, ...], Element("filesystem")] = ()
    interfaces: Annotated[tuple[Interface, ...], Element("interface")] = ()
    consoles: Annotated[tuple[Console, ...], Element("console")] = ()
    channels: Annotated[tuple[ChannelDevice, ...], Element("channel")] = ()
    graphics: Annotated[tuple[Graphics, ...], Element("graphics")] = ()
    host_devices: Annotated[tuple[HostDevice, ...], Element("hostdev")] = ()
