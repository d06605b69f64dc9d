"""`insula doctor` on this host as it is, and with things taken away, in mount namespaces of the test's own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.guests import domain_xml, insula
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("root", "overlay.idmapped")

ERROR, WARNING = "error", "warning"


def examined(prefix: Path, *before: str) -> dict[str, Any]:
    """Examine a prefix without a daemon, once some commands have been performed in a mount namespace of its own."""
    doctor = f"exec {sys.executable} -m insula.cli.main --prefix {prefix} doctor --json"
    script = "; ".join((*(f"{each} || exit 99" for each in before), doctor))
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode in (0, 1), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == any(each["gravity"] == ERROR for each in told["checks"])
    return told


def gravity(told: dict[str, Any], id_: str) -> str:
    (found,) = [each["gravity"] for each in told["checks"] if each["id"] == id_]
    return str(found)


def test_without_a_daemon_it_says_so_and_examines_what_it_can(scratch: Path) -> None:
    told = examined(scratch / "p")
    assert told["daemon"] is False and gravity(told, "daemon.down") == WARNING
    assert gravity(told, "kernel.user-namespaces") == "ok"
    assert not (scratch / "p").exists()


@pytest.mark.requires("dnsmasq", "nft")
def test_programs_that_are_taken_away_are_missed(scratch: Path) -> None:
    found = [shutil.which(each, path="/usr/sbin:/usr/bin:/sbin:/bin") for each in ("dnsmasq", "nft")]
    told = examined(scratch / "p", *(f"mount --bind /dev/null {Path(str(each)).resolve()}" for each in found))
    assert [gravity(told, f"programs.{each}") for each in ("dnsmasq", "nft")] == [WARNING, WARNING]
    assert [gravity(examined(scratch / "p"), f"programs.{each}") for each in ("dnsmasq", "nft")] == ["ok", "ok"]


def test_directories_that_cannot_be_written_and_full_ones_are_errors(scratch: Path) -> None:
    images, state = scratch / "p/var/lib/insula/images", scratch / "p/var/lib/insula/state"
    images.mkdir(parents=True)
    state.mkdir()
    told = examined(
        scratch / "p",
        f"mount -t tmpfs -o ro none {images}",
        f"mount -t tmpfs -o size=64k none {state}",
        f"head -c 64k /dev/zero > {state}/full",
    )
    assert [gravity(told, f"room.{each}") for each in ("images", "state", "run")] == [ERROR, ERROR, "ok"]


def test_covered_control_groups_are_an_error_that_is_told_without_a_trace(scratch: Path) -> None:
    told = examined(scratch / "p", "mount -t tmpfs none /sys/fs/cgroup")
    assert gravity(told, "cgroup.mounted") == ERROR


def test_settings_and_definitions_that_cannot_be_read_are_told(scratch: Path) -> None:
    directory = scratch / "p/etc/insula"
    (directory / "domains").mkdir(parents=True)
    (directory / "insulad.toml").write_text("nonsense = 1\n")
    (directory / "domains/web.xml.broken").touch()
    told = examined(scratch / "p")
    assert gravity(told, "settings.readable") == ERROR and gravity(told, "definitions.set-aside") == WARNING


@pytest.mark.requires("virsh")
def test_a_running_daemon_is_asked_and_knows_its_guests(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    told = json.loads(insula(insulad, "doctor", "--json").stdout)
    assert told["daemon"] is True and gravity(told, "domains.changed") == "ok"
    insulad.virsh("setmem", "web", "300M", "--config")
    changed = json.loads(insula(insulad, "doctor", "--json").stdout)
    (found,) = [each for each in changed["checks"] if each["id"] == "domains.changed"]
    assert found["gravity"] == "note" and "web" in found["found"]
    assert "web" in insula(insulad, "doctor").stdout
