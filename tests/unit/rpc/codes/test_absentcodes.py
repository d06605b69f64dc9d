"""Pools, volumes and node devices, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import absentcodes
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    absentcodes.ListPools: "VIR_CONNECT_LIST_STORAGE_POOLS_",
    absentcodes.PoolState: "VIR_STORAGE_POOL_",
    absentcodes.PoolEventId: "VIR_STORAGE_POOL_EVENT_ID_",
    absentcodes.PoolEvent: "VIR_STORAGE_POOL_EVENT_",
    absentcodes.VolumeType: "VIR_STORAGE_VOL_",
    absentcodes.NodeDeviceEventId: "VIR_NODE_DEVICE_EVENT_ID_",
    absentcodes.NodeDeviceEvent: "VIR_NODE_DEVICE_EVENT_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
