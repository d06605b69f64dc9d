"""A card's helper where it cannot be had; with packets: tests/system/test_user_cards.py."""

import os

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace, InterfaceKind
from insula.engine.interfacespec import UserHelper, UserInterface
from insula.errors import OperationUnsupportedError
from insula.network.usermode.cardhelper import begin_helper

CONNECTED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", kind=InterfaceKind.USER
)


def test_a_network_without_a_user_namespace_of_its_own_is_none_for_passt() -> None:
    entered: list[int] = []
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    wanted = UserInterface(guest="eth0", helper=UserHelper.PASTA)
    place = HelperPlace(launch="unit", enter=entered.append)
    try:
        with pytest.raises(OperationUnsupportedError, match="slirp4netns serves it"):
            begin_helper(CONNECTED, wanted, place, network=network, here=network)
    finally:
        os.close(network)
    assert entered == []
