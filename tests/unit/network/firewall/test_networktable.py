"""The table of networks; what it does to the kernel is in tests/system/test_firewall.py."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.network.firewall.networkrules import ForwardedPort, Reach
from insula.network.firewall.networktable import NetworkTable
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import Command
from tests.rulesets import NAT, TABLE


def test_no_port_leads_into_an_isolated_network() -> None:
    forward = ForwardedPort(port=80, to_port=80, to_address=ip_address("192.0.2.7"))
    with pytest.raises(UnsupportedConfigError, match="'default' is isolated"):
        NetworkTable(TABLE, Nft()).apply([replace(NAT, reach=Reach.ISOLATED, forwards=(forward,))])


class Remembering(Nft):
    """Tells what was asked of it. gone: whether the table is not there any more."""

    def __init__(self) -> None:
        super().__init__()
        self.performed: list[int] = []
        self.listings = 0
        self.gone = False

    def perform(self, commands: Sequence[Command], subject: str) -> None:
        self.performed.append(len(commands))
        if self.gone:
            self.gone = False
            raise OperationFailedError(f"{subject}: no such chain")

    def listed(self, *what: str) -> list[dict[str, Any]]:
        self.listings += 1
        return []


def test_a_forwarded_port_behind_the_others_costs_no_more_than_itself() -> None:
    nft = Remembering()
    table = NetworkTable(TABLE, nft)
    ports = tuple(ForwardedPort(port=each, to_port=80, to_address=ip_address("192.0.2.7")) for each in range(1, 100))

    def apply(*forwards: ForwardedPort) -> tuple[int, int]:
        before = nft.listings
        table.apply([replace(NAT, forwards=forwards)])
        return nft.performed[-1], nft.listings - before

    whole, _ = apply(*ports[:-1])
    assert apply(*ports) == (2, 0)
    assert apply(*ports[1:]) == (2 + 2 * 98, 0)
    assert apply(*ports[1:])[1] == 1, "what is asked for again is looked for"
    nft.gone = True
    assert apply(*ports)[0] == whole + 2
    assert apply(*ports[:1]) == (4, 0)
    assert apply()[1] == 1


def test_what_is_more_than_another_port_is_said_anew() -> None:
    nft = Remembering()
    table = NetworkTable(TABLE, nft)
    forward = ForwardedPort(port=80, to_port=80, to_address=ip_address("192.0.2.7"))
    table.apply([replace(NAT, forwards=(forward,))])
    table.apply([replace(NAT, bridge="virbr7", forwards=(forward, replace(forward, port=81)))])
    assert nft.listings == 2
