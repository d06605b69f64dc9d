"""What a launch of dnsmasq is told; what it does is seen in tests/system/test_virtual_networks.py."""

import json

from insula.network.virtual.dnsmasq import files_of
from insula.network.virtual.dnsmasqlauncher import CAPABILITIES, OWN, DnsmasqLaunch
from tests.unit.network.virtual.test_dnsmasq import DHCP, files


def test_a_launch_survives_json() -> None:
    launch = DnsmasqLaunch(
        program="/usr/sbin/dnsmasq", directory="/d", configuration="/d/c", leases="/l", shown=("/srv",)
    )
    again = json.loads(launch.to_json())
    assert DnsmasqLaunch(**again | {"shown": tuple(again["shown"])}) == launch


def test_it_has_no_capability_to_become_anybody_else() -> None:
    assert set(CAPABILITIES) == {"net_admin", "net_raw", "net_bind_service"}


def test_its_pid_is_written_where_nobody_else_writes() -> None:
    assert files_of is not None
    assert f"pid-file={OWN}/pid" in files(DHCP).configuration.splitlines()
