"""What a launch of dnsmasq is told; what it does is seen in tests/system/test_virtual_networks.py."""

import json

import pytest

from insula.network.virtual.dnsmasq import files_of
from insula.network.virtual.dnsmasqlauncher import CAPABILITIES, LAUNCHER, OWN, DnsmasqLaunch, launched_configuration
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


LAUNCH = DnsmasqLaunch(program="/usr/sbin/dnsmasq", directory="/d", configuration="/d/c", leases="/l").to_json()
WORDS = tuple(each.encode() for each in (*LAUNCHER, LAUNCH))


def test_a_launcher_is_known_by_its_words_whatever_interpreter_it_has() -> None:
    assert launched_configuration(WORDS) == "/d/c"
    assert launched_configuration((b"/an/older/python3", *WORDS[1:])) == "/d/c"


@pytest.mark.parametrize(
    "words",
    [
        (),
        WORDS[:-1],
        (*WORDS, b"more"),
        (b"dnsmasq", b"--conf-file=/d/c"),
        *((*WORDS[:-1], said) for said in (b"", b"[1]", b"7", b"{}", b'{"configuration": 7}', b"\xff", b"[" * 100_000)),
    ],
)
def test_others_are_no_launchers_whatever_they_say(words: tuple[bytes, ...]) -> None:
    assert launched_configuration(words) is None
