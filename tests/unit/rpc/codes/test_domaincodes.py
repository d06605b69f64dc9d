"""What domains are doing, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import domaincodes
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    domaincodes.ControlState: "VIR_DOMAIN_CONTROL_",
    domaincodes.JobStatsFlags: "VIR_DOMAIN_JOB_STATS_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
