"""The end of a macvlan, as far as no privilege is needed; tests/system/test_network.py has the rest."""

import errno
from contextlib import ExitStack
from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MacvlanInterface, MacvlanMode
from insula.network.kinds import stacked
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.macvlan import MacvlanKind
from tests.unit.network.kinds.conversation import Conversation, a_link

ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", kind=InterfaceKind.MACVLAN, guest_index=3
)


def test_it_is_removed_where_the_guests_network_is_still_open_and_left_to_the_kernel_elsewhere() -> None:
    host, inside = Conversation(), Conversation()
    MacvlanKind().end(ENDED, host.socket, inside.socket, 9)
    MacvlanKind().end(ENDED, host.socket, None, 9)
    assert (host.asked, inside.asked) == ([], ["interface 3"])


WANTED = MacvlanInterface(guest="eth0", device="eth7", mode=MacvlanMode.PASSTHROUGH)


def test_a_refusal_names_the_mode_as_a_definition_does() -> None:
    refusal = MacvlanKind().refusal(OSError(errno.EBUSY, "busy"), WANTED)
    assert refusal is not None
    assert "'eth7' takes no macvlan of mode 'passthrough': one of mode 'passthrough' must be the only one" in refusal
    assert MacvlanKind().refusal(OSError(errno.EPERM, "no"), WANTED) is None


def test_one_that_is_to_be_up_wants_a_device_that_is() -> None:
    off = replace(a_link("eth7"), up=False)
    with pytest.raises(OSError, match="'eth7' is switched off: switch it on"):
        MacvlanKind().require(WANTED, off)
    MacvlanKind().require(replace(WANTED, up=False), off)


def test_a_macvlan_of_the_guests_own_is_not_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    host, inside = Conversation(), Conversation()
    with ExitStack() as undo:
        networks = Networks(host=host.socket, inside=inside.socket, guest=b"", here=9, path="", undo=undo, leaving=())
        for mac in ("52:54:00:00:00:02", "52:54:00:00:00:01"):
            monkeypatch.setattr(stacked, "link", lambda _, name, mac=mac: a_link(name, 5, kind="macvlan", mac=mac))
            MacvlanKind().withdraw(replace(WANTED, mac="52:54:00:00:00:01"), networks)
    assert inside.asked == ["interface 5"]
