"""What happens to domains, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import eventcodes
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    eventcodes.DomainEventId: "VIR_DOMAIN_EVENT_ID_",
    eventcodes.AgentState: "VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_",
    eventcodes.AgentReason: "VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
