"""What a connection and its host are asked, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import connectioncodes
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    connectioncodes.OpenFlags: "VIR_CONNECT_",
    connectioncodes.CloseReason: "VIR_CONNECT_CLOSE_REASON_",
    connectioncodes.SuspendTarget: "VIR_NODE_SUSPEND_TARGET_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}


def test_features_that_the_public_library_does_not_name_have_the_numbers_on_the_wire() -> None:
    names = {feature.value: feature.name for feature in connectioncodes.Feature}
    assert names[10] == "PROGRAM_KEEPALIVE"
    assert names[14] == "REMOTE_EVENT_CALLBACK"
    assert names[15] == "REMOTE_CLOSE_CALLBACK"


def test_ways_of_authentication_have_the_numbers_on_the_wire() -> None:
    assert [kind.value for kind in connectioncodes.AuthType] == [0, 1, 2]
