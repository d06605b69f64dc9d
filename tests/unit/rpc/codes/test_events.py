"""What happens to domains, by libvirt's own numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import events
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    events.DomainEventId: "VIR_DOMAIN_EVENT_ID_",
    events.AgentState: "VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_",
    events.AgentReason: "VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}
