"""Debian with systemd over the launcher itself: privileged too, its login prompts, its identity, its sandboxes."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.engine.exitstatus import ExitMeaning
from insula.engine.keeper.link import completed
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import ContainerSpec, InitKind, OverlayRoot, Process
from tests.guests import Guests, id_map, read_until, spec
from tests.waiting import until

RELEASES = [
    pytest.param("12", marks=pytest.mark.requires("debian-12-image", "overlay.idmapped")),
    pytest.param("13", marks=pytest.mark.requires("debian-13-image", "overlay.idmapped")),
]
_HALT = signal.SIGRTMIN + 3
"""What systemd takes as: halt in good order. Source: systemd(1), SIGNALS."""


def debian(lower: Path, scratch: Path, *, privileged: bool = False) -> ContainerSpec:
    for name in ("upper", "work"):
        (scratch / "clone" / name).mkdir(parents=True)
    root = OverlayRoot(lower=(str(lower),), upper=str(scratch / "clone/upper"), work=str(scratch / "clone/work"))
    return spec(
        root,
        name="debian",
        init=Process(argv=("/sbin/init",)),
        init_kind=InitKind.SYSTEMD,
        idmap=None if privileged else id_map(),
        privileged=privileged,
        consoles=2,
    )


def state(guests: Guests, running: Running) -> str:
    return guests.execute(running, "systemctl", "is-system-running")[0].strip()


def wait_until_up(guests: Guests, running: Running) -> None:
    settled = ("running", "degraded", "maintenance")
    reached = until(lambda: state(guests, running) in settled and state(guests, running), "systemd settling", 60)
    failed, _ = guests.execute(running, "systemctl", "--failed", "--plain", "--no-legend")
    assert (reached, failed) == ("running", "")


@pytest.mark.machine("systemd")
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])
@pytest.mark.timeout(300)
def test_systemd_comes_up_without_a_failed_unit_and_goes_down_in_order(
    guests: Guests, debian_root: Callable[[str], Path], scratch: Path, release: str, privileged: bool
) -> None:
    running = guests.launch(debian(debian_root(release), scratch, privileged=privileged))
    wait_until_up(guests, running)
    said, _ = guests.execute(running, "systemd-detect-virt")
    assert said == "lxc-libvirt\n"
    assert b"login:" in read_until(running.consoles[0], b"login:", 30)
    assert b"login:" in read_until(running.consoles[1], b"login:", 30)
    completed(guests.launcher.signal(running, _HALT))
    assert guests.wait_for_end(running, 60).meaning is ExitMeaning.POWERED_OFF


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.timeout(300)
def test_a_reboot_from_inside_is_told_from_other_ends(
    guests: Guests, debian_root: Callable[[str], Path], scratch: Path, release: str
) -> None:
    running = guests.launch(debian(debian_root(release), scratch))
    wait_until_up(guests, running)
    guests.execute(running, "systemctl", "reboot")
    assert guests.wait_for_end(running, 60).meaning is ExitMeaning.REBOOTED


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.timeout(300)
def test_its_machine_id_comes_from_the_host_and_services_have_their_sandboxes(
    guests: Guests, debian_root: Callable[[str], Path], scratch: Path, release: str
) -> None:
    wanted = debian(debian_root(release), scratch)
    running = guests.launch(wanted)
    wait_until_up(guests, running)
    said, _ = guests.execute(running, "cat", "/etc/machine-id")
    assert said.strip() == wanted.uuid.replace("-", "")
    sandbox = (
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "DynamicUser=yes",
    )
    properties = [f"--property={each}" for each in sandbox]
    said, status = guests.execute(running, "systemd-run", "--wait", "--pipe", *properties, "id", "-u")
    assert status.code == 0, said
    assert "0" not in said.split()
