from uuid import UUID

import pytest

from insula.errors import UnsupportedConfigError
from insula.model.interfaces import VirtualPort, VirtualPortParameters, VirtualPortType
from insula.model.virtualports import merged_virtual_port

INTERFACE = UUID("09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f")


def ovs(**parameters: object) -> VirtualPort:
    return VirtualPort(
        type=VirtualPortType.OPENVSWITCH,
        parameters=VirtualPortParameters(**parameters) if parameters else None,  # type: ignore[arg-type]
    )


def test_what_nobody_says_anything_of_is_nothing() -> None:
    assert merged_virtual_port((None, None, None)) is None


def test_each_adds_what_the_others_do_not_say() -> None:
    untyped = VirtualPort(parameters=VirtualPortParameters(profile_id="fast"))
    merged = merged_virtual_port((untyped, None, ovs(interface_id=INTERFACE)))
    assert merged == ovs(interface_id=INTERFACE, profile_id="fast")
    assert merged_virtual_port((ovs(), ovs(profile_id="fast"))) == ovs(profile_id="fast")
    assert merged_virtual_port((ovs(profile_id="fast"), ovs(profile_id="fast"))) == ovs(profile_id="fast")


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (ovs(profile_id="a"), ovs(profile_id="b"), "profileid is 'a' in one place and 'b' in another"),
        (ovs(), VirtualPort(type=VirtualPortType.MIDONET), "type is 'openvswitch' in one place and 'midonet'"),
    ],
)
def test_two_that_say_different_things_are_refused(first: VirtualPort, second: VirtualPort, text: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=text):
        merged_virtual_port((first, second))
