"""Every network of the corpus through the wire: defined, shown, and taken away again by an unmodified virsh."""

import re

import pytest

from insula.model.network import dump_network, load_network
from insula.model.xmlmap import Part
from tests.insulad import Insulad
from tests.unit.model.corpus import GOLDEN_NETWORKS, NETWORKS

pytestmark = pytest.mark.requires("virsh")


WANTING = {
    "bandwidth": "network 'limited': ",  # policing, if the kernel lacks it, else eth0
    "nat-ranges": "the host has no interface 'eth0'",
    "routed": "the host has no interface 'eth1'",
    "names": "TFTP directory /srv/tftp",
}
"""What the host of the tests has not, and the network cannot be without."""


def without_chosen_name(xml: str) -> str:
    return re.sub(r"<bridge name='virbr\d+' ", "<bridge ", xml)


def test_what_is_defined_over_the_wire_is_shown_again(insulad: Insulad) -> None:
    for path in NETWORKS:
        network = load_network(path.read_text())
        insulad.virsh("net-define", str(path))
        shown = insulad.virsh("net-dumpxml", str(network.uuid), "--inactive").stdout.rstrip("\n") + "\n"
        kept = (GOLDEN_NETWORKS / path.name).read_text()
        assert shown == kept if network.bridge_name else without_chosen_name(shown) == kept
        assert dump_network(load_network(shown), Part.DEFINITION) == shown
        insulad.virsh("net-undefine", str(network.uuid))
    assert insulad.virsh("net-list", "--all", "--name").stdout.strip() == ""


@pytest.mark.requires("nft", "dnsmasq")
def test_what_can_be_defined_can_be_started_and_the_rest_says_what_it_wants(insulad: Insulad) -> None:
    for path in NETWORKS:
        uuid = str(load_network(path.read_text()).uuid)
        made = insulad.virsh("net-create", str(path), check=path.stem not in WANTING)
        if path.stem in WANTING:
            assert WANTING[path.stem] in made.stderr
            continue
        live = insulad.virsh("net-dumpxml", uuid).stdout.rstrip("\n") + "\n"
        assert dump_network(load_network(live, Part.LIVE)) == live
        insulad.virsh("net-destroy", uuid)
    assert insulad.virsh("net-list", "--all", "--name").stdout.strip() == ""
