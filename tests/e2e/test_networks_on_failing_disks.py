"""Networks on disks that are read-only or full: all of a verb or nothing, in the disk's own words, and guests go on."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e.faileddisks import fill, read_only, writable
from tests.e2e.guests import insula
from tests.hostnet import HostNet, udp_source
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")

XML = """<network><name>lan</name><uuid>00000000-0000-0000-0000-000000000010</uuid>
<title>{title}</title><bridge name='lan0' stp='off'/><forward mode='nat'/>
<ip address='10.9.0.1' prefix='24'><dhcp><range start='10.9.0.100' end='10.9.0.200'/></dhcp></ip></network>"""
HOST = "<host mac='52:54:00:00:00:05' ip='10.9.0.5'/>"
UPDATE = ("net-update", "lan", "add", "ip-dhcp-host", HOST)

Fail = Callable[[Insulad, Path], None]
WORDS: tuple[tuple[Fail, str], ...] = ((read_only, "Read-only file system"), (fill, "No space left on device"))


def document(scratch: Path, title: str = "first") -> str:
    path = scratch / "lan.xml"
    path.write_text(XML.format(title=title))
    return str(path)


def refused(insulad: Insulad, *words: str) -> str:
    result = insulad.virsh(*words, check=False)
    assert result.returncode != 0, result.stdout
    return result.stderr


def there(insulad: Insulad) -> list[str]:
    """Return what there is of the network on the host."""
    bridge = insulad.host.run("ip", "-o", "link", "show", "dev", "lan0", check=False).stdout
    found = ["bridge"] * bool(bridge) + ["rules"] * ("lan0" in insulad.host.run("nft", "list", "ruleset").stdout)
    for each in leaks.descendants():
        with contextlib.suppress(OSError):
            if f"{insulad.layout.running_networks}/" in Path(f"/proc/{each.pid}/cmdline").read_text():
                found.append("dnsmasq")
    return found + ["record"] * bool(list(insulad.layout.running_networks.glob("*.json")))


WHOLE = ["bridge", "rules", "dnsmasq", "record"]


@pytest.mark.parametrize(("fail", "words"), WORDS)
def test_what_cannot_be_defined_or_changed_stays_as_it_was(
    insulad: Insulad, scratch: Path, fail: Fail, words: str
) -> None:
    insulad.virsh("net-define", document(scratch))
    insulad.virsh("net-start", "lan")
    place = insulad.layout.network_definitions
    fail(insulad, place)
    assert words in refused(insulad, "net-define", document(scratch, "second"))
    assert "first" in insulad.virsh("net-dumpxml", "lan", "--inactive").stdout
    for affect in (("--config",), ("--live", "--config")):
        assert words in refused(insulad, *UPDATE, *affect)
    for view in ((), ("--inactive",)):
        assert "10.9.0.5" not in insulad.virsh("net-dumpxml", "lan", *view).stdout
    forward = insula(insulad, "network", "forward", "lan", "8080:10.9.0.5:80", check=False)
    assert forward.returncode != 0
    assert words in forward.stderr
    assert "8080" not in insulad.host.run("nft", "list", "ruleset").stdout
    insulad.virsh(*UPDATE, "--live")
    insulad.stop()
    insulad.start()
    assert "10.9.0.5" in insulad.virsh("net-dumpxml", "lan").stdout
    insulad.virsh("net-destroy", "lan")
    assert there(insulad) == []
    writable(insulad, place)
    insulad.virsh("net-undefine", "lan")


def test_a_network_whose_leases_cannot_be_written_does_not_start_and_leaves_nothing(
    insulad: Insulad, scratch: Path
) -> None:
    insulad.virsh("net-define", document(scratch))
    insulad.layout.leases.mkdir(mode=0o755, parents=True, exist_ok=True)
    read_only(insulad, insulad.layout.leases)
    assert "Read-only file system" in refused(insulad, "net-start", "lan")
    assert there(insulad) == []
    writable(insulad, insulad.layout.leases)
    insulad.virsh("net-start", "lan")
    assert there(insulad) == WHOLE
    insulad.virsh("net-destroy", "lan")


@pytest.mark.parametrize(("fail", "words"), WORDS)
def test_a_network_that_cannot_be_written_down_does_not_start_and_leaves_nothing(
    insulad: Insulad, scratch: Path, fail: Fail, words: str
) -> None:
    insulad.virsh("net-define", document(scratch))
    place = insulad.layout.running_networks
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    fail(insulad, place)
    assert words in refused(insulad, "net-start", "lan")
    assert words in refused(insulad, "net-create", document(scratch))
    assert there(insulad) == []
    assert insulad.virsh("net-list", "--name").stdout.split() == []
    writable(insulad, place)
    insulad.virsh("net-start", "lan")
    assert there(insulad) == WHOLE
    insulad.virsh("net-destroy", "lan")


@pytest.mark.parametrize(("fail", "words"), WORDS)
def test_guests_go_on_where_an_active_network_cannot_be_changed(
    insulad: Insulad, hostnet: HostNet, scratch: Path, fail: Fail, words: str
) -> None:
    insulad.virsh("net-define", document(scratch))
    insulad.virsh("net-start", "lan")
    place = insulad.layout.running_networks
    with hostnet.guest("vnet0", "lan0") as guest:
        guest.run("ip", "address", "add", "10.9.0.5/24", "dev", "eth0")
        guest.run("ip", "route", "add", "default", "via", "10.9.0.1")
        fail(insulad, place)
        for affect in (("--live",), ("--live", "--config")):
            assert words in refused(insulad, *UPDATE, *affect)
            for view in ((), ("--inactive",)):
                assert "10.9.0.5" not in insulad.virsh("net-dumpxml", "lan", *view).stdout
        assert udp_source(guest, hostnet.outside, "198.51.100.10") == "203.0.113.2"
        insulad.kill()
        insulad.start()
        until(lambda: insulad.virsh("net-list", "--name").stdout.split() == ["lan"], "the next daemon's word")
        assert udp_source(guest, hostnet.outside, "198.51.100.10") == "203.0.113.2"
    writable(insulad, place)
    insulad.virsh("net-destroy", "lan")
    assert there(insulad) == []
