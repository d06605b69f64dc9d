"""How much of the host a guest gets: processors, memory, I/O, and where in the cgroup tree."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from insula.model.scalars import YesNo
from insula.model.sizes import CpuSet, KiB
from insula.model.xmlmap import Attribute, Element, Mapped, Text

VCPU_MAX = 4096
"""More processors than a host has; each one is a row in lists and statistics."""
SHARES = (2, 262144)
PERIOD = (1000, 1000000)
QUOTA = (-1, 17592186044415)
WEIGHT = (10, 1000)
"""The ranges libvirt accepts, beside 0, which is none; periods and quotas are microseconds, a quota below 0 is none.

Source: libvirt's schema and its checks of cputune and blkiotune.
"""


class PlacementMode(StrEnum):
    STATIC = "static"
    AUTO = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vcpu(Mapped):
    """`<vcpu>`: how many processors the guest has, and among which of the host's they are.

    current: fewer than count, in use now; 0, which libvirt's conversion of LXC's own files writes, is all of them.
    """

    placement: Annotated[PlacementMode, Attribute("placement")] = PlacementMode.STATIC
    cpus: Annotated[CpuSet | None, Attribute("cpuset")] = None
    current: Annotated[int | None, Attribute("current", within=(0, VCPU_MAX))] = None
    count: Annotated[int, Text(within=(1, VCPU_MAX))] = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class OneVcpu(Mapped):
    """`<vcpu id='' enabled=''>`: whether one virtual processor is in use; the rest is kept, a container's need no order
    and any of them can go."""

    number: Annotated[int, Attribute("id", within=(0, VCPU_MAX))]
    enabled: Annotated[YesNo, Attribute("enabled")] = YesNo.YES
    hotpluggable: Annotated[YesNo | None, Attribute("hotpluggable")] = None
    order: Annotated[int | None, Attribute("order", within=(1, VCPU_MAX))] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleVcpus(Mapped):
    """`<vcpus>`: which virtual processors are in use, where those are not simply the first ones."""

    each: Annotated[tuple[OneVcpu, ...], Element("vcpu")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MaxMemory(Mapped):
    """`<maxMemory slots=''>`: how far memory could grow by plugging; kept, a container's limit moves without slots."""

    slots: Annotated[int, Attribute("slots")] = 0
    size: Annotated[KiB, Text(unit="unit")]


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryTune(Mapped):
    """`<memtune>`. swap_hard_limit counts memory and swap together."""

    hard_limit: Annotated[KiB | None, Element("hard_limit", unit="unit")] = None
    soft_limit: Annotated[KiB | None, Element("soft_limit", unit="unit")] = None
    min_guarantee: Annotated[KiB | None, Element("min_guarantee", unit="unit")] = None
    swap_hard_limit: Annotated[KiB | None, Element("swap_hard_limit", unit="unit")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VcpuPin(Mapped):
    """`<vcpupin>`: among which of the host's processors one virtual processor is."""

    vcpu: Annotated[int, Attribute("vcpu", within=(0, VCPU_MAX))]
    cpus: Annotated[CpuSet, Attribute("cpuset")]


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuTune(Mapped):
    """`<cputune>`. period and quota are microseconds, of the whole container, as global_* are; the plain ones win.

    emulator_pin: kept: beside its virtual processors nothing of a container's runs.
    """

    shares: Annotated[int | None, Element("shares", within=SHARES, zero_is_none=True)] = None
    period: Annotated[int | None, Element("period", within=PERIOD, zero_is_none=True)] = None
    quota: Annotated[int | None, Element("quota", within=QUOTA, zero_is_none=True)] = None
    global_period: Annotated[int | None, Element("global_period", within=PERIOD, zero_is_none=True)] = None
    global_quota: Annotated[int | None, Element("global_quota", within=QUOTA, zero_is_none=True)] = None
    emulator_period: Annotated[int | None, Element("emulator_period", within=PERIOD, zero_is_none=True)] = None
    emulator_quota: Annotated[int | None, Element("emulator_quota", within=QUOTA, zero_is_none=True)] = None
    vcpu_pins: Annotated[tuple[VcpuPin, ...], Element("vcpupin")] = ()
    emulator_pin: Annotated[CpuSet | None, Element("emulatorpin", attribute="cpuset")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlkioDevice(Mapped):
    """`<device>`: limits for one block device of the host; bytes and operations a second, 0 is none."""

    path: Annotated[PurePosixPath, Element("path")]
    weight: Annotated[int | None, Element("weight", within=WEIGHT, zero_is_none=True)] = None
    read_iops: Annotated[int | None, Element("read_iops_sec")] = None
    write_iops: Annotated[int | None, Element("write_iops_sec")] = None
    read_bytes: Annotated[int | None, Element("read_bytes_sec")] = None
    write_bytes: Annotated[int | None, Element("write_bytes_sec")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlkioTune(Mapped):
    """`<blkiotune>`. weight: against other domains, 10 to 1000."""

    weight: Annotated[int | None, Element("weight", within=WEIGHT, zero_is_none=True)] = None
    devices: Annotated[tuple[BlkioDevice, ...], Element("device")] = ()


class NumaMode(StrEnum):
    STRICT = "strict"
    PREFERRED = "preferred"
    INTERLEAVE = "interleave"
    RESTRICTIVE = "restrictive"


@dataclass(frozen=True, kw_only=True, slots=True)
class NumaMemory(Mapped):
    """`<memory mode='' nodeset=''>`: from which NUMA nodes the guest's memory comes."""

    mode: Annotated[NumaMode, Attribute("mode")] = NumaMode.STRICT
    nodes: Annotated[CpuSet | None, Attribute("nodeset")] = None
    placement: Annotated[PlacementMode | None, Attribute("placement")] = None

    @property
    def pins(self) -> bool:
        """Whether memory comes from these nodes alone; else they are a policy, which programs inherit."""
        return self.mode in (NumaMode.STRICT, NumaMode.RESTRICTIVE)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumaTune(Mapped):
    """`<numatune>`."""

    memory: Annotated[NumaMemory | None, Element("memory")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource(Mapped):
    """`<resource>`. partition: the cgroup above the domain's, as `/machine` or `/machine/production`."""

    partition: Annotated[PurePosixPath | None, Element("partition")] = None
