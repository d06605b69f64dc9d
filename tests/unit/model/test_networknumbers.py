"""libvirt's own numbers of networks, under its names."""

from enum import IntEnum, IntFlag

import pytest

from insula.model import networknumbers
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    networknumbers.ListNetworks: "VIR_CONNECT_LIST_NETWORKS_",
    networknumbers.NetworkEventKind: "VIR_NETWORK_EVENT_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}


def test_a_network_is_defined_before_it_is_started() -> None:
    kinds = networknumbers.NetworkEventKind
    assert [each.name for each in kinds] == ["DEFINED", "UNDEFINED", "STARTED", "STOPPED"]
