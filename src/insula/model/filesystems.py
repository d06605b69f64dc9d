"""Where a guest's files come from: `<filesystem>` and `<disk>`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from insula.errors import MissingSourceError, MissingTargetError
from insula.model.scalars import FileMode, OnOff
from insula.model.sizes import Bytes, KiB
from insula.model.xmlmap import Attribute, Element, Mapped, is_generated_alias

ROOT = PurePosixPath("/")
PARTITION_MAX = 1024
"""The highest number that a partition of an image may have."""


class FilesystemType(StrEnum):
    """What the source is."""

    MOUNT = "mount"  # a directory of the host
    TEMPLATE = "template"  # an image, by name: the guest gets a copy-on-write clone
    FILE = "file"  # a file that holds a file system
    BLOCK = "block"  # a block device that holds one
    RAM = "ram"  # memory
    BIND = "bind"  # a directory of the guest itself
    VOLUME = "volume"  # of a storage pool


class AccessMode(StrEnum):
    """libvirt's words for how owners and modes are carried over; a container has the kernel do it: passthrough.

    The others are written by clients that know virtual machines; for a container they are the same.
    """

    PASSTHROUGH = "passthrough"
    MAPPED = "mapped"
    SQUASH = "squash"


class MultiDevices(StrEnum):
    DEFAULT = "default"
    REMAP = "remap"
    FORBID = "forbid"
    WARN = "warn"


class FilesystemDriverType(StrEnum):
    PATH = "path"
    HANDLE = "handle"
    LOOP = "loop"
    NBD = "nbd"
    PLOOP = "ploop"
    VIRTIOFS = "virtiofs"


class WritePolicy(StrEnum):
    IMMEDIATE = "immediate"


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesystemDriver(Mapped):
    """`<driver>`: how a file with a file system is made a device. format: of the file, such as raw or qcow2."""

    type: Annotated[FilesystemDriverType | None, Attribute("type")] = None
    format: Annotated[str | None, Attribute("format")] = None
    write_policy: Annotated[WritePolicy | None, Attribute("wrpolicy")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesystemSource(Mapped):
    """`<source>`; which attribute is set follows the filesystem's type.

    usage: the size of a ram file system; partition: of a file or device with a partition table, which one is meant.
    """

    directory: Annotated[PurePosixPath | None, Attribute("dir")] = None
    file: Annotated[PurePosixPath | None, Attribute("file")] = None
    device: Annotated[PurePosixPath | None, Attribute("dev")] = None
    name: Annotated[str | None, Attribute("name")] = None
    usage: Annotated[KiB | None, Attribute("usage", unit="units")] = None
    pool: Annotated[str | None, Attribute("pool")] = None
    volume: Annotated[str | None, Attribute("volume")] = None
    partition: Annotated[int | None, Attribute("insula:partition", within=(1, PARTITION_MAX))] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Filesystem(Mapped):
    """`<filesystem>`: source is seen at target in the guest. The one with target `/` is the guest's root.

    idmap: `off` shows the source under the host's owners, where it cannot be shown under the guest's.
    """

    type: Annotated[FilesystemType, Attribute("type")] = FilesystemType.MOUNT
    access_mode: Annotated[AccessMode, Attribute("accessmode")] = AccessMode.PASSTHROUGH
    multi_devices: Annotated[MultiDevices | None, Attribute("multidevs")] = None
    file_mode: Annotated[FileMode | None, Attribute("fmode")] = None
    directory_mode: Annotated[FileMode | None, Attribute("dmode")] = None
    idmap: Annotated[OnOff | None, Attribute("insula:idmap")] = None
    driver: Annotated[FilesystemDriver | None, Element("driver")] = None
    source: Annotated[FilesystemSource, Element("source", missing=MissingSourceError)]
    target: Annotated[PurePosixPath, Element("target", attribute="dir", missing=MissingTargetError)]
    read_only: Annotated[bool, Element("readonly")] = False
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None
    space_hard_limit: Annotated[Bytes | None, Element("space_hard_limit", unit="unit")] = None
    space_soft_limit: Annotated[Bytes | None, Element("space_soft_limit", unit="unit")] = None

    @property
    def is_root(self) -> bool:
        """Whether this is what the guest sees at `/`."""
        return self.target == ROOT

    @property
    def is_mapped(self) -> bool:
        """Whether the guest sees the source under owners of its own."""
        return self.idmap is not OnOff.OFF


class DiskType(StrEnum):
    FILE = "file"
    BLOCK = "block"
    DIR = "dir"
    NETWORK = "network"
    VOLUME = "volume"
    NVME = "nvme"
    VHOSTUSER = "vhostuser"


class DiskDevice(StrEnum):
    DISK = "disk"
    CDROM = "cdrom"
    FLOPPY = "floppy"
    LUN = "lun"


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskDriver(Mapped):
    """`<driver name='' type=''>`: what opens the file (loop, nbd), and its format."""

    name: Annotated[str | None, Attribute("name")] = None
    type: Annotated[str | None, Attribute("type")] = None
    cache: Annotated[str | None, Attribute("cache")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskSource(Mapped):
    """`<source>`; which attribute is set follows the disk's type. partition: which one holds the root, if it does."""

    file: Annotated[PurePosixPath | None, Attribute("file")] = None
    device: Annotated[PurePosixPath | None, Attribute("dev")] = None
    directory: Annotated[PurePosixPath | None, Attribute("dir")] = None
    pool: Annotated[str | None, Attribute("pool")] = None
    volume: Annotated[str | None, Attribute("volume")] = None
    partition: Annotated[int | None, Attribute("insula:partition", within=(1, PARTITION_MAX))] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskTarget(Mapped):
    """`<target dev='sda' bus=''>`: the device's name in the guest's /dev."""

    device: Annotated[str, Attribute("dev", missing=MissingTargetError)]
    bus: Annotated[str | None, Attribute("bus")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk(Mapped):
    """`<disk>`: a block device shown in the guest's /dev."""

    type: Annotated[DiskType, Attribute("type")] = DiskType.FILE
    device: Annotated[DiskDevice, Attribute("device")] = DiskDevice.DISK
    driver: Annotated[DiskDriver | None, Element("driver")] = None
    source: Annotated[DiskSource | None, Element("source")] = None
    target: Annotated[DiskTarget, Element("target", missing=MissingTargetError)]
    read_only: Annotated[bool, Element("readonly")] = False
    shareable: Annotated[bool, Element("shareable")] = False
    serial: Annotated[str | None, Element("serial")] = None
    boot_order: Annotated[int | None, Element("boot", attribute="order", within=(1, 2**31 - 1))] = None
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None

    @property
    def is_disk(self) -> bool:
        """Whether it is no drive for what is put into it."""
        return self.device in (DiskDevice.DISK, DiskDevice.LUN)

    @property
    def is_empty_drive(self) -> bool:
        """Whether it is a drive with nothing in it, which a container has no use for."""
        return not self.is_disk and (self.source is None or not (self.source.file or self.source.device))


def filesystem_of(disk: Disk) -> Filesystem:
    """Return what a disk with the root is to a container. Its type may be one that a root cannot have."""
    source = disk.source or DiskSource()
    return Filesystem(
        type=_ROOTS_OF_DISKS.get(disk.type, FilesystemType.VOLUME),
        driver=FilesystemDriver(format=disk.driver.type) if disk.driver is not None else None,
        source=FilesystemSource(
            file=source.file,
            device=source.device,
            pool=source.pool,
            volume=source.volume,
            partition=source.partition,
        ),
        target=ROOT,
        read_only=disk.read_only,
    )


_ROOTS_OF_DISKS = {
    DiskType.FILE: FilesystemType.FILE,
    DiskType.BLOCK: FilesystemType.BLOCK,
    DiskType.DIR: FilesystemType.MOUNT,
}
