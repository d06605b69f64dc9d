"""Access drivers: polkit's names of permissions, and where other drivers come from."""

from types import SimpleNamespace

import pytest

from insula.daemon.authority import accessdrivers
from insula.daemon.authority.accessdrivers import PolkitDriver, action_of, load_drivers
from insula.daemon.authority.polkit import Polkit
from insula.errors import ConfigurationError
from insula.rpc.permissions import Permission

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("permission", "action"),
    [
        (Permission("domain", "start"), "org.libvirt.api.domain.start"),
        (Permission("domain", "read_secure"), "org.libvirt.api.domain.read-secure"),
        (Permission("nwfilter_binding", "getattr"), "org.libvirt.api.nwfilter-binding.getattr"),
        (Permission("connect", "search_storage_pools"), "org.libvirt.api.connect.search-storage-pools"),
    ],
)
async def test_a_permission_has_libvirts_name_at_polkit(permission: Permission, action: str) -> None:
    assert action_of(permission) == action


async def test_no_driver_is_none() -> None:
    assert load_drivers(["none"], Polkit()) == load_drivers([], Polkit()) == ()


async def test_a_driver_is_polkit_or_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = object()
    installed = (
        SimpleNamespace(name="ours", load=lambda: lambda: driver),
        SimpleNamespace(name="broken", load=lambda: lambda: 1 / 0),
    )
    monkeypatch.setattr(accessdrivers, "entry_points", lambda group: installed if group == accessdrivers.GROUP else ())
    loaded = load_drivers(["polkit", "ours"], Polkit())
    assert [name for name, _ in loaded] == ["polkit", "ours"]
    assert isinstance(loaded[0][1], PolkitDriver) and loaded[1][1] is driver
    with pytest.raises(ConfigurationError, match="no access driver 'other'; known here: none, polkit, broken, ours"):
        load_drivers(["other"], Polkit())
    with pytest.raises(ConfigurationError, match="'broken' cannot be used: division by zero"):
        load_drivers(["broken"], Polkit())
