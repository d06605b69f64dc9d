"""A conversation with the kernel that only remembers."""

from typing import cast

from insula.network.links import Link, PeerNamespace
from insula.network.rtnetlink import NetlinkRequest, Rtnetlink


class Conversation:
    """Stands for a `Rtnetlink`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def perform(self, *requests: NetlinkRequest) -> None:
        self.asked += (each.what for each in requests)

    @property
    def socket(self) -> Rtnetlink:
        return cast("Rtnetlink", self)


def a_link(name: str, index: int = 5, *, kind: str = "", mac: str = "52:54:00:00:00:01") -> Link:
    return Link(
        index=index,
        name=name,
        kind=kind,
        mac=mac,
        mtu=1500,
        up=True,
        loopback=name == "lo",
        link=None,
        master=None,
        peer=PeerNamespace.HERE,
    )
