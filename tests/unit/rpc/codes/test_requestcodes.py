"""What can be asked of a domain call, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import requestcodes
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    requestcodes.DefineFlags: "VIR_DOMAIN_DEFINE_",
    requestcodes.NetworkXmlFlags: "VIR_NETWORK_XML_",
    requestcodes.UndefineFlags: "VIR_DOMAIN_UNDEFINE_",
    requestcodes.StartFlags: "VIR_DOMAIN_START_",
    requestcodes.DestroyFlags: "VIR_DOMAIN_DESTROY_",
    requestcodes.MemoryFlags: "VIR_DOMAIN_MEM_",
    requestcodes.VcpuFlags: "VIR_DOMAIN_VCPU_",
    requestcodes.DeviceFlags: "VIR_DOMAIN_DEVICE_MODIFY_",
    requestcodes.StatsFlags: "VIR_CONNECT_GET_ALL_DOMAINS_STATS_",
    requestcodes.ConsoleFlags: "VIR_DOMAIN_CONSOLE_",
    requestcodes.AddressType: "VIR_IP_ADDR_TYPE_",
    requestcodes.HostnameFlags: "VIR_DOMAIN_GET_HOSTNAME_",
    requestcodes.TimeFlags: "VIR_DOMAIN_TIME_",
    requestcodes.MessageTypes: "VIR_DOMAIN_MESSAGE_",
    requestcodes.LifecycleAction: "VIR_DOMAIN_LIFECYCLE_ACTION_",
    requestcodes.SaveFlags: "VIR_DOMAIN_SAVE_",
    requestcodes.MigrateFlags: "VIR_MIGRATE_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
