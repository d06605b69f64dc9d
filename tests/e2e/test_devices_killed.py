"""The daemon is killed amid a change of a running guest's disks and file systems: the next one tells what is there."""

import re
import subprocess
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

CALLS = range(1, 60) if hosts.full() else (3, 8, 13)
"""Those at which it dies; a change makes some fifteen to thirty."""
DISK, SHARED, MEMORY = "disk", "shared", "memory"


@pytest.fixture
def devices(scratch: Path) -> dict[str, str]:
    (scratch / "image").write_bytes(bytes(1 << 20))
    (scratch / "shared").mkdir()
    return {
        DISK: f"<disk type='file'><source file='{scratch}/image'/><target dev='vdb'/></disk>",
        SHARED: f"<filesystem type='mount'><source dir='{scratch}/shared'/><target dir='/srv/shared'/></filesystem>",
        MEMORY: "<filesystem type='ram'><source usage='64' units='KiB'/><target dir='/srv/memory'/></filesystem>",
    }


@pytest.fixture
def scene(
    test_host: TestHost,
    scratch: Path,
    busybox_root: Path,
    devices: dict[str, str],
    failed_test_logs: dict[str, Path],
) -> Iterator[Scene]:
    """One whose guest has all of them from its start."""
    made = Scene(test_host, scratch, busybox_root)
    failed_test_logs["insulad"] = made.insulad.log
    made.begin()
    document = Path(made.document)
    document.write_text(document.read_text().replace("</devices>", f"{''.join(devices.values())}</devices>"))
    made.insulad.virsh("define", made.document)
    made.insulad.virsh("start", "g")
    yield made
    made.insulad.close()
    made.insulad.join()


def told(scene: Scene) -> set[str]:
    """Return which of them the domain is said to have."""
    xml = scene.insulad.virsh("dumpxml", "g").stdout
    words = {DISK: "<target dev='vdb'/>", SHARED: "<target dir='/srv/shared'/>", MEMORY: "<target dir='/srv/memory'/>"}
    return {name for name, word in words.items() if word in xml}


def there(scene: Scene, scratch: Path) -> set[str]:
    """Return which of them the guest has; an image that nobody has is attached to nothing."""
    root = Path(f"/proc/{domain_id(scene.insulad, 'g')}")
    mounts = re.findall(r" (/srv/\w+) ", (root / "mountinfo").read_text())
    listed = subprocess.run(["losetup", "-l", "-n", "-O", "BACK-FILE"], capture_output=True, text=True, check=True)
    loops = [line for line in listed.stdout.splitlines() if line.strip() == f"{scratch}/image"]
    node = (root / "root/dev/vdb").exists()
    assert len(loops) == int(node)
    assert len(mounts) == len(set(mounts))
    return {each.removeprefix("/srv/") for each in mounts} | ({DISK} if node else set())


@pytest.mark.parametrize("device", [DISK, SHARED, MEMORY])
@pytest.mark.parametrize("verb", ["attach-device", "detach-device"])
def test_the_next_daemon_tells_of_the_devices_that_there_are(
    scene: Scene, scratch: Path, devices: dict[str, str], verb: str, device: str
) -> None:
    document = scratch / "device.xml"
    document.write_text(devices[device])
    deaths = 0
    for at in CALLS:
        has, wants = device in told(scene), verb == "detach-device"
        if has != wants:
            scene.insulad.virsh("attach-device" if wants else "detach-device", "g", str(document), "--live")
        aim = Aim(victim=Victim.DAEMON, fault=Fault.KILL, at=at)
        with scene.insulad.aimed(aim):
            result = scene.insulad.virsh(verb, "g", str(document), "--live", check=False, seconds=60)
        if aim.hit:
            deaths += 1
            assert scene.died(killed=True)
            scene.begin()

        def agreed() -> bool:
            try:
                return told(scene) == there(scene, scratch)
            except AssertionError:
                return False  # an image that is still being let go of

        until(agreed, f"death at call {at} ({aim.hit}) being made good")
        assert told(scene) >= {DISK, SHARED, MEMORY} - {device}
        if result.returncode == 0:
            assert (device in told(scene)) == (verb == "attach-device")
    assert deaths > 1
