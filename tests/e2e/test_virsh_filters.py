"""virsh's nwfilter-* commands, unmodified."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.model.builtinfilters import NAMES
from tests.e2e.guests import domain_xml, inside
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh"), pytest.mark.client("virsh 9")]

UUID = "11111111-2222-3333-4444-555555555555"
MINE = f"""\
<filter name='mine' chain='root'>
  <uuid>{UUID}</uuid>
  <filterref filter='no-mac-spoofing'/>
  <rule action='accept' direction='in' priority='500'>
    <tcp dstportstart='22'/>
  </rule>
</filter>
"""


@pytest.fixture
def mine(scratch: Path) -> Path:
    """The document of a filter, in a file."""
    file = scratch / "mine.xml"
    file.write_text(MINE)
    return file


def names(insulad: Insulad) -> list[str]:
    lines = insulad.virsh("nwfilter-list").stdout.splitlines()
    return [line.split()[1] for line in lines[2:] if line.strip()]


def test_filters_are_listed_defined_shown_and_undefined_and_outlive_the_daemon(insulad: Insulad, mine: Path) -> None:
    assert names(insulad) == list(NAMES)
    insulad.virsh("nwfilter-define", str(mine))
    insulad.virsh("nwfilter-define", "--validate", str(mine))
    assert insulad.virsh("nwfilter-dumpxml", "mine").stdout.strip() == MINE.strip()
    insulad.restart()
    assert insulad.virsh("nwfilter-dumpxml", UUID).stdout.strip() == MINE.strip()
    insulad.virsh("nwfilter-undefine", "mine")
    assert names(insulad) == list(NAMES)
    assert insulad.virsh("nwfilter-binding-list").stdout.splitlines()[2:] == [""]


def test_what_is_refused_is_told_in_words(insulad: Insulad, scratch: Path) -> None:
    def refused(*words: str) -> str:
        result = insulad.virsh(*words, check=False)
        assert result.returncode == 1
        return result.stderr

    assert "Network filter not found: no nwfilter with matching name 'none'" in refused("nwfilter-dumpxml", "none")
    assert "'clean-traffic' is built in" in refused("nwfilter-undefine", "clean-traffic")
    wrong = scratch / "wrong.xml"
    wrong.write_text(
        "<filter name='wrong'>\n<rule action='drop' direction='in'><tcp dstportstart='x'/></rule></filter>"
    )
    assert "line 2: /filter/rule/tcp/@dstportstart: 'x', expected a number" in refused("nwfilter-define", str(wrong))
    assert "no nwfilter binding for port dev 'vnet9'" in refused("nwfilter-binding-dumpxml", "vnet9")


def card(ip: str) -> str:
    return (
        "<interface type='bridge'><mac address='52:54:00:00:00:05'/><source bridge='br0'/><target dev='web0'/>"
        f"<ip address='{ip}' prefix='24'/><filterref filter='clean-traffic'/></interface>"
    )


@pytest.fixture
def bridge(insulad: Insulad) -> Iterator[str]:
    """A bridge of the host with an address that guests ping."""
    insulad.host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    insulad.host.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
    yield "br0"
    insulad.host.run("ip", "link", "delete", "br0")


@pytest.mark.requires("nft")
def test_a_filter_stands_before_a_guests_card_whatever_becomes_of_the_daemon_and_the_ruleset(
    insulad: Insulad, busybox_root: Path, bridge: str
) -> None:
    def pings(*options: str) -> bool:
        return "1 packets received" in inside(
            insulad, "web", "ping", "-c", "1", "-W", "1", *options, "192.0.2.1", check=False
        )

    def rules() -> str:
        return insulad.host.run("nft", "-s", "list", "ruleset").stdout

    insulad.define(domain_xml("web", busybox_root, extra=card("192.0.2.7")))
    insulad.virsh("start", "web")
    until(pings, "the guest's ping being answered")
    listed = insulad.virsh("nwfilter-binding-list").stdout
    assert listed.splitlines()[2].split() == ["web0", "clean-traffic"]
    assert "<name>web</name>" in insulad.virsh("nwfilter-binding-dumpxml", "web0").stdout
    inside(insulad, "web", "ip", "address", "add", "192.0.2.66/24", "dev", "eth0")
    assert not pings("-I", "192.0.2.66")
    ours = rules()
    assert "frames-from/web0" in ours
    insulad.host.run("nft", "flush", "ruleset")
    until(lambda: rules() == ours, "the rules being back")
    assert not pings("-I", "192.0.2.66")
    insulad.kill()
    assert rules() == ours
    insulad.start()
    until(lambda: rules() == ours, "the rules of the next daemon")
    until(lambda: pings("-I", "192.0.2.7"), "an answer to its own address")
    insulad.virsh("destroy", "web")
    until(lambda: "web0" not in rules(), "the guest's rules going with it")
