"""The performer, as far as no privilege is needed; tests/system/test_network.py has the rest."""

import socket
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfacePerformer
from insula.network.netlink import NetlinkPerformer
from tests.descriptors import open_fds

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the coroutine suspended")


@pytest.fixture
def performer() -> Iterator[NetlinkPerformer]:
    made = NetlinkPerformer()
    yield made
    made.close()


def test_it_is_what_the_engine_wants(performer: NetlinkPerformer) -> None:
    wanted: InterfacePerformer = performer
    assert finished(wanted.disconnect(())) is None


def test_an_index_that_now_belongs_to_another_interface_is_left_alone(performer: NetlinkPerformer) -> None:
    lo = ConnectedInterface(guest="eth0", host="vnet0", host_index=1, bridge="br0", mac="52:54:00:00:00:01")
    finished(performer.disconnect([lo]))
    performer.close()
    assert socket.if_indextoname(1) == "lo"


def test_closing_leaves_no_descriptor_open() -> None:
    before = open_fds()
    NetlinkPerformer().close()
    assert open_fds() == before
