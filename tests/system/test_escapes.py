"""A guest tries to get hold of the host by names that lead through the descriptors of whoever enters or starts it.

The classes of CVE-2024-21626 (a working directory below a leaked descriptor) and CVE-2019-5736 (the host's own programs
executed in the guest's name).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import Device, DeviceKind
from insula.errors import OperationTimeoutError, StepError
from tests import silentfuse

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

NUMBERS = range(3, 200)
UP = "/../../../../../../../.."
IDLE = ("/bin/sleep", "1000")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(
        busybox_root, name="escape", init=IDLE, ephemeral=True, engine=engine, privileged=request.param
    ) as made:
        yield made


def test_no_working_directory_leads_to_the_host(guest: Container) -> None:
    links = "; ".join(f"ln -s /proc/self/fd/{number}{UP} /tmp/{number}" for number in NUMBERS)
    assert guest.run(["/bin/sh", "-c", links]).returncode == 0
    hosts = os.stat("/")
    reached = []
    for number in NUMBERS:
        try:
            where = guest.run(["/bin/stat", "-c", "%d:%i", "."], cwd=f"/tmp/{number}").stdout.decode()
        except StepError:
            continue
        if where.strip() == f"{hosts.st_dev}:{hosts.st_ino}":
            reached.append(number)
    assert reached == []


def test_no_program_of_the_hosts_is_executed_in_the_guests_name(guest: Container, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\necho executed\n")
    program.chmod(0o755)
    links = "; ".join(f"ln -s /proc/self/fd/{number}{UP}{program} /tmp/p{number}" for number in NUMBERS)
    assert guest.run(["/bin/sh", "-c", links]).returncode == 0
    for number in NUMBERS:
        with pytest.raises(StepError):
            guest.run([f"/tmp/p{number}"])


def test_no_program_of_the_hosts_becomes_init(busybox_root: Path, engine: Engine) -> None:
    init = busybox_root / "sbin/escape"
    for number in range(3, 120):
        init.symlink_to(f"/proc/self/fd/{number}{UP}/bin/busybox")
        guest = Container(busybox_root, name="escape", init=["/sbin/escape", "sleep", "9"], engine=engine)
        with pytest.raises(StepError):
            guest.start()
        init.unlink()


@pytest.mark.requires("fs.fuse", "device.fuse")
def test_a_guest_whose_files_do_not_answer_holds_up_no_program(busybox_root: Path, engine: Engine) -> None:
    device = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse", mode=0o666)
    with Container(busybox_root, name="silent", init=IDLE, ephemeral=True, engine=engine, devices=(device,)) as guest:
        assert guest.run(["/bin/ln", "-sf", "/run/sleep", "/bin/sleep"]).returncode == 0
        silentfuse.cover(guest.pid)
        with pytest.raises(OperationTimeoutError, match="does not answer"):
            guest.shutdown()
        guest.destroy()
        assert not guest.running
