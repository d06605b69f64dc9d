"""Tests of insula.network.kinds.stacked: what becomes of interfaces on devices of the host at the guest's end."""

import errno
from contextlib import ExitStack
from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import IpvlanInterface
from insula.network.kinds import stacked
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.stacked import StackedKind
from insula.network.links import Link
from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink
from tests.unit.network.kinds.conversation import Conversation, a_link

ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", guest_index=3, device="eth1"
)


class SimpleKind(StackedKind[IpvlanInterface]):
    """Refuses with EBUSY in words."""

    kind = InterfaceKind.IPVLAN
    link_kind = "simple"

    def creation(self, wanted: IpvlanInterface, name: str, device: Link, place: bytes, mac: str) -> NetlinkRequest:
        return request(f"{name} on {device.index}")

    def refusal(self, error: OSError, wanted: IpvlanInterface) -> str | None:
        return "it is taken" if error.errno == errno.EBUSY else None

    def is_elsewhere(self, connected: ConnectedInterface, former: IpvlanInterface, wanted: IpvlanInterface) -> bool:
        return wanted.device != former.device


def test_it_is_removed_where_the_guests_network_is_open_and_else_goes_with_it() -> None:
    host, inside = Conversation(), Conversation()
    SimpleKind().end(ENDED, host.socket, inside.socket, 9)
    SimpleKind().end(ENDED, host.socket, None, 9)
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
                SimpleKind().created(networks, "eth0", "52:54:00:00:00:01", request)
            return
        assert SimpleKind().created(networks, "eth0", "52:54:00:00:00:01", request).index == 7
        undo.pop_all()
    assert (host.asked, inside.asked) == steps


WANTED = IpvlanInterface(guest="eth0", device="eth7", mac="52:54:00:00:00:01")


def networks_between(host: Conversation, inside: Conversation, undo: ExitStack) -> Networks:
    return Networks(host=host.socket, inside=inside.socket, guest=b"", here=9, path="", undo=undo, leaving=())


def test_it_is_made_on_its_device_and_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    host, inside = Conversation(), Conversation()
    monkeypatch.setattr(stacked, "link", lambda _, name: a_link(name, 3 if name == "eth7" else 7))
    with ExitStack() as undo:
        made = SimpleKind().make(WANTED, networks_between(host, inside, undo))
        undo.pop_all()
    assert (made.guest_index, made.mac, made.device, made.kind) == (7, WANTED.mac, "eth7", InterfaceKind.IPVLAN)
    assert host.asked == ["eth0 on 3"] and len(inside.asked) == 1


class Refusing(Conversation):
    """Refuses everything."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def perform(self, *requests: NetlinkRequest) -> None:
        raise OSError(self.number, "refused")


@pytest.mark.parametrize(("number", "words"), [(errno.EBUSY, "it is taken"), (errno.EPERM, "refused")])
def test_a_refusal_is_told_in_the_kinds_words_where_it_has_some(
    monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    monkeypatch.setattr(stacked, "link", lambda _, name: a_link(name, 3))
    with ExitStack() as undo, pytest.raises(OSError, match=words) as caught:
        SimpleKind().make(WANTED, networks_between(Refusing(number), Conversation(), undo))
    assert caught.value.errno == number


def test_a_device_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "link", lambda *_: None)
    with ExitStack() as undo, pytest.raises(OSError, match="the host has no network device 'eth7'"):
        SimpleKind().make(WANTED, networks_between(Conversation(), Conversation(), undo))


def test_one_that_has_no_mac_address_is_known_by_a_new_one_from_its_plan_on() -> None:
    with ExitStack() as undo:
        networks = networks_between(Conversation(), Conversation(), undo)
        assert SimpleKind().identified(WANTED, networks) is WANTED
        assert SimpleKind().identified(replace(WANTED, mac=None), networks).mac is not None


def test_it_is_switched_and_stays_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Conversation()
    connected = replace(ENDED, device="eth7")
    with ExitStack() as undo:
        networks = networks_between(Conversation(), inside, undo)
        monkeypatch.setattr(stacked, "link", lambda _, index: replace(a_link("eth0", index), up=False))
        SimpleKind().change(connected, WANTED, replace(WANTED, up=False), networks)
        assert inside.asked == []
        SimpleKind().change(connected, replace(WANTED, up=False), WANTED, networks)
        assert len(inside.asked) == 1
        with pytest.raises(OSError, match="it stands on 'eth7' as long as it is plugged in"):
            SimpleKind().change(connected, WANTED, replace(WANTED, device="eth8"), networks)
        monkeypatch.setattr(stacked, "link", lambda *_: None)
        with pytest.raises(OSError, match="the guest has removed it"):
            SimpleKind().change(connected, WANTED, WANTED, networks)
