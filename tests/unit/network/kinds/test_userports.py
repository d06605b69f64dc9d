"""The tap of a card that a helper serves: which link it is by now."""

from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import Address, UserInterface
from insula.network.kinds import userports
from insula.network.kinds.kindtable import BY_RECORD, KINDS
from insula.network.kinds.userports import UserKind, tap_of
from insula.network.links import Link, PeerNamespace

TAP = Link(
    index=7,
    name="lan0",
    kind="tun",
    mac="52:54:00:00:00:01",
    mtu=65520,
    up=True,
    loopback=False,
    link=None,
    master=None,
    peer=PeerNamespace.HERE,
)
CONNECTED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac=TAP.mac, kind=InterfaceKind.USER, guest_index=7
)


def test_a_card_is_known_by_its_index_whatever_the_guest_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userports, "link", lambda _kernel, index: TAP if index == 7 else None)
    kernel: object = None
    assert tap_of(CONNECTED, kernel) == TAP  # type: ignore[arg-type]
    for gone in (replace(CONNECTED, guest_index=8),):
        with pytest.raises(OSError, match="the guest has removed 'eth0'"):
            tap_of(gone, kernel)  # type: ignore[arg-type]
    monkeypatch.setattr(userports, "link", lambda _kernel, _index: replace(TAP, kind="dummy"))
    with pytest.raises(OSError, match="the guest has removed 'eth0'"):
        tap_of(CONNECTED, kernel)  # type: ignore[arg-type]


def test_it_is_one_of_the_kinds() -> None:
    assert isinstance(KINDS[UserInterface], UserKind)
    assert isinstance(BY_RECORD[InterfaceKind.USER], UserKind)


def test_addresses_that_no_helper_could_serve_are_refused_before_anything_is_made() -> None:
    wanted = UserInterface(guest="eth0", addresses=(Address(address="10.0.2.2", prefix=24),))
    with pytest.raises(OSError, match="the helper's own"):
        UserKind().make(wanted, None)  # type: ignore[arg-type]
