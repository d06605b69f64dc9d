"""Limits that libvirt has no words for: elements of `<insula:domain>`."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from insula.model.scalars import YesNo
from insula.model.sizes import UNLIMITED_KIB
from insula.model.xmlmap import Attribute, Mapped

BURST = (1000, 1_000_000)
"""Microseconds. Source: the kernel's largest period of a quota, which no burst of it passes."""
LATENCY = (1, 10_000_000)
"""Microseconds."""
_KIB = (0, int(UNLIMITED_KIB) - 1)
COUNT_MAX = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuClass(Mapped):
    """`<insula:cpu burst='' idle=''>`: how the guest has processors beside its shares and its quota.

    burst: microseconds that a period may take beyond the quota of what former ones left; idle: its programs run only
    where nobody else's want to.
    """

    burst: Annotated[int | None, Attribute("burst", within=BURST)] = None
    idle: Annotated[YesNo | None, Attribute("idle")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CompressedSwap(Mapped):
    """`<insula:zswap limit='' writeback=''>`: memory that stands, compressed, for swapped pages. limit: KiB."""

    limit: Annotated[int | None, Attribute("limit", within=_KIB)] = None
    writeback: Annotated[YesNo | None, Attribute("writeback")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLatency(Mapped):
    """`<insula:latency device='' target=''>`: what requests to a block device of the host are to take at most.

    target: microseconds.
    """

    device: Annotated[PurePosixPath, Attribute("device")]
    target: Annotated[int, Attribute("target", within=LATENCY)]


@dataclass(frozen=True, kw_only=True, slots=True)
class HugePages(Mapped):
    """`<insula:hugepages size='' limit=''>`: what it may hold in huge pages of one size. KiB, both."""

    size: Annotated[int, Attribute("size", within=(4, 1 << 30))]
    limit: Annotated[int, Attribute("limit", within=_KIB)]


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedResource(Mapped):
    """`<insula:misc resource='' limit=''>`: how much of a resource that the misc controller counts it may hold."""

    resource: Annotated[str, Attribute("resource")]
    limit: Annotated[int, Attribute("limit", within=(0, COUNT_MAX))]


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlFile(Mapped):
    """`<insula:cgroup key='' value=''>`: one control file of the guest's group, as the host's kernel has it."""

    key: Annotated[str, Attribute("key")]
    value: Annotated[str, Attribute("value")]
