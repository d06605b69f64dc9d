"""The daemon is killed amid a change of a running guest's interfaces: the next one tells what is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hosts
from tests.e2e.guests import domain_id
from tests.e2e.scene import Scene
from tests.injection import Aim, Fault, Victim
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped", "userns"), pytest.mark.timeout(7200)]

MAC = "52:54:00:11:22:33"
CARD = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='{{}}'/></interface>"
CALLS = range(1, 40) if hosts.full() else (3, 6, 9, 12)
"""Those at which it dies; a change makes some fifteen."""


@pytest.fixture
def scene(test_host: TestHost, scratch: Path, busybox_root: Path, failed_test_logs: dict[str, Path]) -> Iterator[Scene]:
    for bridge in ("br0", "br1"):
        test_host.run("ip", "link", "add", bridge, "type", "bridge")
    made = Scene(test_host, scratch, busybox_root)
    failed_test_logs["insulad"] = made.insulad.log
    made.begin()
    made.insulad.virsh("define", made.document)
    made.insulad.virsh("start", "g")
    yield made
    made.insulad.close()
    made.insulad.join()
    for bridge in ("br0", "br1"):
        test_host.run("ip", "link", "delete", bridge)


def told(scene: Scene) -> tuple[str, ...]:
    """Return the bridges of the cards that the domain is said to have."""
    return tuple(re.findall(r"<source bridge='(\w+)'/>", scene.insulad.virsh("dumpxml", "g").stdout))


def there(scene: Scene, host: TestHost) -> tuple[str, ...]:
    """Return the bridges of those that the guest has; each has its other end inside, and no other is there."""
    pid = domain_id(scene.insulad, "g")
    inside = host.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-o", "link").stdout
    ends = re.findall(r"^\d+: vnet\d+@.*$", host.run("ip", "-o", "link").stdout, re.MULTILINE)
    assert len(ends) == len(re.findall(r"^\d+: eth\d+@", inside, re.MULTILINE))
    return tuple(bridge for each in ends for bridge in re.findall(r"master (\w+)", each))


@pytest.mark.parametrize("verb", ["attach-device", "detach-device", "update-device"])
def test_the_next_daemon_tells_of_the_cards_that_there_are(
    scene: Scene, test_host: TestHost, scratch: Path, verb: str
) -> None:
    document, device = scratch / "device.xml", scratch / "plain.xml"
    device.write_text(CARD.format("br0"))
    before = () if verb == "attach-device" else ("br0",)
    after = {"attach-device": ("br0",), "detach-device": (), "update-device": ("br1",)}[verb]
    deaths = 0
    for at in CALLS:
        present = told(scene)
        if present != before and present:
            scene.insulad.virsh("detach-device", "g", str(device), "--live")
        if before and told(scene) != before:
            scene.insulad.virsh("attach-device", "g", str(device), "--live")
        document.write_text(CARD.format("br1" if verb == "update-device" else "br0"))
        aim = Aim(victim=Victim.DAEMON, fault=Fault.KILL, at=at)
        with scene.insulad.aimed(aim):
            result = scene.insulad.virsh(verb, "g", str(document), "--live", check=False, seconds=60)
        if aim.hit:
            deaths += 1
            assert scene.died(killed=True)
            scene.begin()
        until(lambda: told(scene) == there(scene, test_host), f"death at call {at} ({aim.hit}) being made good")
        assert told(scene) in (before, after)
        if result.returncode == 0:
            assert told(scene) == after
    assert deaths > 1
