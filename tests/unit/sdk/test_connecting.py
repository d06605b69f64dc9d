"""The one way to a daemon."""

from pathlib import Path

import pytest

import insula
from insula.errors import NobodyListensError, OperationUnsupportedError
from insula.layout import Layout
from insula.sdk.connecting import _door, connect, connect_async
from tests.fakeserver import FakeServer


def test_it_is_the_packages_own() -> None:
    assert insula.connect is connect
    assert insula.connect_async is connect_async


def test_libvirts_address_of_the_system_is_its_installation() -> None:
    assert _door("lxc:///system") == _door("lxc:///") == Layout.system()
    assert _door("/run/socket") == "/run/socket"
    assert _door(None) is None


@pytest.mark.parametrize("where", ["qemu:///system", "lxc:///session", "lxc+libssh://host/system"])
def test_other_addresses_are_refused_by_name(where: str) -> None:
    with pytest.raises(OperationUnsupportedError, match=where.replace("+", r"\+")):
        connect(where)


@pytest.mark.asyncio
async def test_both_kinds_connect_and_tell_if_nobody_is_there(server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(NobodyListensError):
        connect(tmp_path / "nobody")
    with pytest.raises(NobodyListensError):
        await connect_async(tmp_path / "nobody")
