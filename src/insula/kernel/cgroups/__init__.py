"""Control groups: v2, v1 and both together behind one handle, `Cgroup`."""

from insula.kernel.cgroups.devicecontroller import DeviceRule
from insula.kernel.cgroups.group import PAYLOAD, Cgroup, remove_empty_partitions
from insula.kernel.cgroups.heldlimits import UNLIMITED, BlockLimit, GroupKey, HeldLimits, HugePageLimit, MiscLimit
from insula.kernel.cgroups.hierarchies import Hierarchies, Mode, V1Hierarchy
from insula.kernel.cgroups.joining import join_all
from insula.kernel.cgroups.labels import (
    facts_on,
    groups_with_facts,
    labelled,
    maker_of,
    set_facts,
    set_label,
    set_maker,
)
from insula.kernel.cgroups.membership import groups_of
from insula.kernel.cgroups.names import machine_name, partition_path, scope_name, slice_name
from insula.kernel.cgroups.shrinking import AT_ONCE, Course, Shrinking
from insula.kernel.cgroups.socketoptions import SocketOption
from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, Pressure, Stats, TaskUse

__all__ = [
    "AT_ONCE",
    "PAYLOAD",
    "UNLIMITED",
    "BlockLimit",
    "Cgroup",
    "Course",
    "CpuUse",
    "DeviceRule",
    "DeviceUse",
    "GroupKey",
    "HeldLimits",
    "Hierarchies",
    "HugePageLimit",
    "MemoryUse",
    "MiscLimit",
    "Mode",
    "Pressure",
    "Shrinking",
    "SocketOption",
    "Stats",
    "TaskUse",
    "V1Hierarchy",
    "facts_on",
    "groups_of",
    "groups_with_facts",
    "join_all",
    "labelled",
    "machine_name",
    "maker_of",
    "partition_path",
    "remove_empty_partitions",
    "scope_name",
    "set_facts",
    "set_label",
    "set_maker",
    "slice_name",
]
