"""The end of a pair, as far as no privilege is needed; tests/system/test_network.py has the rest."""

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.network.kinds import veth
from insula.network.kinds.veth import VethKind
from tests.unit.network.kinds.conversation import Conversation, a_link

ENDED = ConnectedInterface(guest="eth0", host="vnet0", host_index=5, bridge="br0", mac="52:54:00:00:00:01")


@pytest.mark.parametrize(("mac", "removed"), [("fe:54:00:00:00:01", ["interface 5"]), ("fe:54:00:00:00:02", [])])
def test_the_hosts_end_is_removed_if_it_is_this_guests(
    monkeypatch: pytest.MonkeyPatch, mac: str, removed: list[str]
) -> None:
    host = Conversation()
    monkeypatch.setattr(veth, "link", lambda kernel, index: a_link("vnet0", index, kind="veth", mac=mac))
    VethKind().end(ENDED, host.socket, None, 9)
    assert host.asked == removed
