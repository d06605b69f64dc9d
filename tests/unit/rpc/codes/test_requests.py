"""What can be asked of a domain call, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import requests
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    requests.DefineFlags: "VIR_DOMAIN_DEFINE_",
    requests.UndefineFlags: "VIR_DOMAIN_UNDEFINE_",
    requests.StartFlags: "VIR_DOMAIN_START_",
    requests.DestroyFlags: "VIR_DOMAIN_DESTROY_",
    requests.MemoryFlags: "VIR_DOMAIN_MEM_",
    requests.VcpuFlags: "VIR_DOMAIN_VCPU_",
    requests.DeviceFlags: "VIR_DOMAIN_DEVICE_MODIFY_",
    requests.StatsFlags: "VIR_CONNECT_GET_ALL_DOMAINS_STATS_",
    requests.ConsoleFlags: "VIR_DOMAIN_CONSOLE_",
    requests.AddressType: "VIR_IP_ADDR_TYPE_",
    requests.HostnameFlags: "VIR_DOMAIN_GET_HOSTNAME_",
    requests.GuestInfoTypes: "VIR_DOMAIN_GUEST_INFO_",
    requests.MessageTypes: "VIR_DOMAIN_MESSAGE_",
    requests.LifecycleType: "VIR_DOMAIN_LIFECYCLE_",
    requests.LifecycleAction: "VIR_DOMAIN_LIFECYCLE_ACTION_",
    requests.SaveFlags: "VIR_DOMAIN_SAVE_",
    requests.MigrateFlags: "VIR_MIGRATE_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
