"""The border to the network: what crosses it survives JSON, and who stands there keeps to the protocol."""

import inspect
import json

import pytest

from insula.engine.codec import decode, encode
from insula.engine.interfaceperformer import ConnectedInterface, InterfacePerformer
from insula.network.netlink import NetlinkPerformer


@pytest.mark.parametrize("bridge", [None, "virbr0"])
def test_a_connected_interface_survives_json(bridge: str | None) -> None:
    connected = ConnectedInterface(guest="eth0", host="vnet3", host_index=17, bridge=bridge, mac="52:54:00:11:22:33")
    assert decode(ConnectedInterface, json.loads(json.dumps(encode(connected)))) == connected


def test_what_is_no_interface_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ConnectedInterface.host_index should be int, not '17'"):
        decode(ConnectedInterface, {"guest": "e", "host": "h", "host_index": "17", "bridge": None, "mac": "m"})


@pytest.mark.parametrize("verb", ["connect", "disconnect"])
def test_the_networks_performer_takes_what_the_engine_passes(verb: str) -> None:
    """The parameters by name and kind: a launch passes netns_pid and netlink by keyword."""
    wanted, offered = (
        inspect.signature(getattr(kind, verb)).parameters for kind in (InterfacePerformer, NetlinkPerformer)
    )
    assert {name: each.kind for name, each in offered.items()} == {name: each.kind for name, each in wanted.items()}
    assert inspect.iscoroutinefunction(getattr(NetlinkPerformer, verb))
