import pytest

from insula.model.networkchecks import network_problems
from tests.unit.model.networks import network_of

VEPA = "<forward mode='vepa' dev='eth0'/>"
BRIDGE = "<forward mode='bridge'/><bridge name='br0'/>"


@pytest.mark.parametrize(
    "inside",
    [
        "<vlan><tag id='1'/></vlan>",
        f"{BRIDGE}<vlan trunk='yes'><tag id='1'/><tag id='2' nativeMode='untagged'/></vlan>",
        "<forward mode='passthrough' dev='eth0'/><vlan><tag id='1'/></vlan>",
        f"{BRIDGE}<virtualport type='openvswitch'><parameters profileid='x'/></virtualport>",
        "<bandwidth><inbound average='1' peak='2' burst='3'/><outbound average='1'/></bandwidth>",
        "<portgroup name='a' default='yes'><bandwidth><inbound average='9'/></bandwidth></portgroup>",
        "<port isolated='yes'/>",
        f"{VEPA}<port isolated='no'/><virtualport type='802.1Qbh'><parameters profileid='x'/></virtualport>",
    ],
)
def test_what_the_cards_of_a_network_can_have_is_right(inside: str) -> None:
    assert network_problems(network_of(inside)) == ()


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<vlan/>", "the vlan of the network has no <tag>"),
        ("<vlan trunk='no'><tag id='1'/><tag id='2'/></vlan>", "several tags, and trunk='no'"),
        (
            "<vlan><tag id='1' nativeMode='tagged'/><tag id='2' nativeMode='tagged'/></vlan>",
            "several tags with a native",
        ),
        (
            "<portgroup name='a'><vlan><tag id='1'/><tag id='1'/></vlan></portgroup>",
            "portgroup 'a' has the tag 1 twice",
        ),
        (f"{VEPA}<vlan><tag id='1'/></vlan>", "a <vlan>, which a network of mode 'vepa' cannot set"),
        (f"{VEPA}<bandwidth><inbound average='1'/></bandwidth>", "cannot have a bandwidth as a whole"),
        (f"{VEPA}<port isolated='yes'/>", "cannot isolate its ports"),
        ("<bandwidth><inbound average='1' floor='1'/></bandwidth>", "inbound has a floor"),
        ("<bandwidth><outbound peak='1'/></bandwidth>", "outbound has no average"),
        ("<bandwidth><inbound average='18014398509481984'/></bandwidth>", "more than 18014398509481983"),
        ("<portgroup name='a'><bandwidth><inbound peak='1'/></bandwidth></portgroup>", "portgroup 'a' inbound has no"),
        (f"{BRIDGE}<virtualport><parameters profileid='x'/></virtualport>", "virtualport has no type"),
        (
            f"{BRIDGE}<virtualport type='openvswitch'><parameters managerid='1'/></virtualport>",
            "of type 'openvswitch', has no managerid",
        ),
        ("<portgroup name='a'/><portgroup name='a'/>", "two portgroups are called 'a'"),
        ("<portgroup name='a' default='yes'/><portgroup name='b' default='yes'/>", "a, b are all the default"),
        ("<portgroup name='a&#10;b'/>", "cannot name a portgroup"),
    ],
)
def test_what_they_cannot_have_is_told(inside: str, text: str) -> None:
    found = network_problems(network_of(inside))
    assert len(found) == 1, found
    assert text in found[0]
