"""Tests of insula.network.kinds.stacked: what becomes of interfaces on devices of the host at the guest's end."""

import errno
from contextlib import ExitStack

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.network.kinds import stacked
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.stacked import StackedKind
from insula.network.links import Link
from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink
from tests.unit.network.kinds.conversation import Conversation, a_link

ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", guest_index=3, device="eth1"
)


def test_it_is_removed_where_the_guests_network_is_open_and_else_goes_with_it() -> None:
    host, inside = Conversation(), Conversation()
    StackedKind().end(ENDED, host.socket, inside.socket, 9)
    StackedKind().end(ENDED, host.socket, None, 9)
    assert (host.asked, inside.asked) == ([], ["interface 3"])


class OldKernel(Conversation):
    """Refuses a new link under a name that the host has."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def perform(self, *requests: NetlinkRequest) -> None:
        super().perform(*requests)
        if any(each.what == name for each in requests for name in self.names):
            raise OSError(errno.EEXIST, "File exists")


def request(name: str) -> NetlinkRequest:
    return NetlinkRequest(message=MessageType.NEW_LINK, body=b"", what=name)


@pytest.mark.parametrize(
    ("on_host", "inside_has", "steps"),
    [
        ((), (), (["eth0"], [])),
        (("eth0",), (), (["eth0", "at525400000001"], ["interface 7 to be named eth0"])),
        (("eth0",), ("eth0",), None),
    ],
    ids=["free", "the host has one", "the guest has one"],
)
def test_a_name_that_the_host_has_too_is_given_inside(
    monkeypatch: pytest.MonkeyPatch,
    on_host: tuple[str, ...],
    inside_has: tuple[str, ...],
    steps: tuple[list[str], list[str]] | None,
) -> None:
    host, inside = OldKernel(*on_host), Conversation()

    def link(kernel: Rtnetlink, name: str) -> Link | None:
        made = [each for each in host.asked if each not in on_host]
        return a_link(name, 7) if name in (on_host if kernel is host.socket else (*inside_has, *made)) else None

    monkeypatch.setattr(stacked, "link", link)
    with ExitStack() as undo:
        networks = Networks(host=host.socket, inside=inside.socket, guest=b"", here=9, path="", undo=undo, leaving=())
        if steps is None:
            with pytest.raises(FileExistsError):
                StackedKind().created(networks, "eth0", "52:54:00:00:00:01", request)
            return
        assert StackedKind().created(networks, "eth0", "52:54:00:00:00:01", request).index == 7
        undo.pop_all()
    assert (host.asked, inside.asked) == steps
