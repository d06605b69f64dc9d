"""Devices that containers are given while they run, and that are taken away again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insula import Container, Device, DeviceKind, Engine
from insula.engine.launch.holdings import FormerDevices, GuestMount
from insula.errors import InvalidArgumentError, OperationInvalidError, StepError

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("cgroups")]

IDLE = ("/bin/sleep", "100000")
FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="deep/fuse", mode=0o620, gid=5)
"""A device that no guest has by itself."""
POWERLESS = replace(FUSE, guest="powerless", access="", mode=0o666)
"""A node of it, without the right."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One keeper for the module's containers."""
    with Engine() as made:
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    privileged = bool(request.param)
    with Container(busybox_root, init=IDLE, ephemeral=True, privileged=privileged, engine=engine) as made:
        yield made


def inside(guest: Container, script: str) -> str:
    return guest.run(["sh", "-c", script], check=True).stdout.decode().strip()


def opens(guest: Container, path: str) -> bool:
    return guest.run(["sh", "-c", f": < {path}"]).returncode == 0


def shown(guest: Container) -> str:
    return inside(guest, "cat /proc/self/mountinfo; ls -l /dev | grep -v pts")


def held(guest: Container) -> list[object]:
    return [each for each in guest._life.alive().record.holdings if isinstance(each, GuestMount | FormerDevices)]


def devices(guest: Container) -> tuple[Device, ...]:
    return guest._life.alive().record.spec.devices


def test_a_device_comes_with_its_owner_and_its_right_and_goes_with_both(guest: Container) -> None:
    before = shown(guest)
    guest.attach_device(FUSE)
    assert inside(guest, "stat -c '%t:%T %u:%g %a' /dev/deep/fuse") == "a:e5 0:5 620"
    assert opens(guest, "/dev/deep/fuse")
    assert devices(guest) == (FUSE,)
    with pytest.raises(OperationInvalidError, match="has a device /dev/deep/fuse already"):
        guest.attach_device(FUSE)

    guest.detach_device(FUSE)
    assert inside(guest, "ls /dev/deep") == ""
    inside(guest, "rmdir /dev/deep")
    assert (shown(guest), held(guest), devices(guest)) == (before, [], ())
    with pytest.raises(OperationInvalidError, match="was given no device /dev/deep/fuse"):
        guest.detach_device(FUSE)


def test_the_right_goes_whatever_nodes_the_guest_still_has(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, devices=(POWERLESS,), engine=engine) as guest:
        assert not opens(guest, "/dev/powerless")
        guest.attach_device(FUSE)
        assert opens(guest, "/dev/powerless")
        guest.detach_device(FUSE)
        assert not opens(guest, "/dev/powerless")


def test_one_that_it_was_started_with_goes_too(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, devices=(FUSE,), engine=engine) as guest:
        assert opens(guest, "/dev/deep/fuse")
        guest.detach_device(FUSE)
        assert inside(guest, "ls /dev/deep") == ""
        guest.attach_device(FUSE)
        assert opens(guest, "/dev/deep/fuse")


def test_a_failure_leaves_neither_node_nor_right(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, devices=(POWERLESS,), engine=engine) as guest:
        inside(guest, "mkdir /dev/way; touch /dev/way/file")
        before = shown(guest)
        with pytest.raises(StepError, match=r"cannot show node at /dev/way/file/fuse: .*Not a directory"):
            guest.attach_device(replace(FUSE, guest="way/file/fuse"))
        assert (shown(guest), held(guest), devices(guest)) == (before, [], (POWERLESS,))
        assert not opens(guest, "/dev/powerless")


def test_an_owner_that_the_guest_has_not_is_refused(busybox_root: Path, engine: Engine) -> None:
    with (
        Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest,
        pytest.raises(InvalidArgumentError, match="not in the id map"),
    ):
        guest.attach_device(replace(FUSE, uid=1 << 30))


def test_a_node_that_the_guest_has_put_there_itself_stays(guest: Container) -> None:
    inside(guest, "echo precious > /dev/mine")
    guest.attach_device(replace(FUSE, guest="mine"))
    guest.detach_device(replace(FUSE, guest="mine"))
    assert inside(guest, "cat /dev/mine") == "precious"
