"""How a moved device comes back, as far as no privilege is needed; tests/system/test_network.py has the rest."""

import logging

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.network.kinds import moved
from insula.network.kinds.moved import MovedKind
from insula.network.links import Link
from tests.unit.network.kinds.conversation import Conversation, a_link

MAC = "52:54:00:00:00:01"
ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac=MAC, kind=InterfaceKind.MOVED, guest_index=3, device="eth7"
)


def test_it_is_moved_back_under_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    host, inside = Conversation(), Conversation()
    monkeypatch.setattr(moved, "link", lambda kernel, which: a_link("eth0", 3) if kernel is inside else None)
    MovedKind().end(ENDED, host.socket, inside.socket, 9)
    assert (host.asked, inside.asked) == ([], ["interface 3 to be moved as eth7"])


def test_a_name_that_somebody_else_has_by_now_is_not_fought_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host, inside = Conversation(), Conversation()
    monkeypatch.setattr(moved, "link", lambda kernel, which: a_link("eth7"))
    MovedKind().end(ENDED, host.socket, inside.socket, 9)
    assert inside.asked == ["interface 3 to be moved as back%d"]
    assert "another 'eth7'" in caplog.text


@pytest.mark.parametrize(
    ("found", "renamed"),
    [
        (a_link("dev3", 8, mac=MAC), ["interface 8 to be named eth7"]),
        (a_link("tap3", 8, mac=MAC, kind="tun"), []),
        (a_link("dev3", 8, mac="52:54:00:00:00:09"), []),
    ],
)
def test_hardware_that_the_kernel_took_back_by_itself_is_known_by_its_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, found: Link, renamed: list[str]
) -> None:
    host = Conversation()
    monkeypatch.setattr(moved, "link", lambda kernel, which: None)
    monkeypatch.setattr(moved, "all_links", lambda kernel: [a_link("lo", 1), found])
    with caplog.at_level(logging.WARNING):
        MovedKind().end(ENDED, host.socket, None, 9)
    assert host.asked == renamed
    assert ("has not come back" in caplog.text) == (not renamed)
