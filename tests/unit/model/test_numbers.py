"""libvirt's own numbers, under its names."""

from enum import IntEnum, IntFlag

import pytest

from insula.model import numbers
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    numbers.AddressSource: "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_",
    numbers.Affect: "VIR_DOMAIN_AFFECT_",
    numbers.GuestInfo: "VIR_DOMAIN_GUEST_INFO_",
    numbers.JobOperation: "VIR_DOMAIN_JOB_OPERATION_",
    numbers.JobType: "VIR_DOMAIN_JOB_",
    numbers.LifecycleType: "VIR_DOMAIN_LIFECYCLE_",
    numbers.ListDomains: "VIR_CONNECT_LIST_DOMAINS_",
    numbers.MemoryStat: "VIR_DOMAIN_MEMORY_STAT_",
    numbers.MetadataType: "VIR_DOMAIN_METADATA_",
    numbers.ParameterType: "VIR_TYPED_PARAM_",
    numbers.ShutdownMode: "VIR_DOMAIN_SHUTDOWN_",
    numbers.StatsTypes: "VIR_DOMAIN_STATS_",
    numbers.VcpuState: "VIR_VCPU_",
    numbers.XmlFlags: "VIR_DOMAIN_XML_",
}
OURS: dict[type[IntEnum | IntFlag], set[str]] = {
    numbers.XmlFlags: {"LIVE"},
    numbers.ListDomains: {"ALL", "MANAGED_SAVE", "NO_MANAGED_SAVE"},
    numbers.GuestInfo: {"LOAD"},
    numbers.ShutdownMode: {"ACPI", "AGENT"},
    numbers.StatsTypes: {"ALL"},
}
"""Names that libvirt writes otherwise, or has none for."""


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert set(differences(kind, prefix)) <= {f"{prefix}{name}" for name in OURS.get(kind, ())}


def test_those_that_are_spelled_otherwise_have_libvirts_numbers_too() -> None:
    assert (numbers.ListDomains.MANAGED_SAVE, numbers.ListDomains.NO_MANAGED_SAVE) == (256, 512)
    assert (numbers.ShutdownMode.ACPI, numbers.ShutdownMode.AGENT) == (1, 2)
