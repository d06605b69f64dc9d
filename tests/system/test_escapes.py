"""A guest tries to get hold of the host by names that lead through the descriptors of whoever enters or starts it.

The classes of CVE-2024-21626 (a working directory below a leaked descriptor) and CVE-2019-5736 (the host's own programs
executed in the guest's name).
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import Device, DeviceKind
from insula.errors import InvalidArgumentError, OperationTimeoutError, OperationUnsupportedError, StepError
from tests import silentfuse
from tests.waiting import patience

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

NUMBERS = range(3, 200)
UP = "/../../../../../../../.."
IDLE = ("/bin/sleep", "1000")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
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


SHOW_STREAMS = [
    "/bin/sh",
    "-c",
    'k=$(ls -lL /proc/$$/fd); n=$(ls -l /proc/$$/fd); echo "$k" > /tmp/kinds; echo "$n" > /tmp/names',
]
"""Writes down what it has as its descriptors: asked by others, since a redirection is one of its own for a moment."""


def test_no_file_of_ours_is_a_stream_of_its_programs(guest: Container, tmp_path: Path) -> None:
    """A 0644 file in a 0700 directory was read through >>, and a socket's peer spoken to in our name."""
    (tmp_path / "secret").mkdir(mode=0o700)
    (tmp_path / "secret/file").write_text("secret\n")
    one, other = socket.socketpair()
    with one, other, open(tmp_path / "secret/file", "ab") as file, open("/dev/full", "r+b", buffering=0) as device:
        for stream in (file, one, device):
            source = subprocess.DEVNULL if stream is file else stream.fileno()
            with guest.popen(SHOW_STREAMS, stdin=source, stdout=stream.fileno(), stderr=stream.fileno()) as process:
                assert process.wait(patience(10)) == 0
            kinds = guest.run(["cat", "/tmp/kinds"]).stdout.decode().splitlines()[1:4]
            assert [line[0] for line in kinds] == ["c" if stream is file else "p", "p", "p"]
            names = guest.run(["cat", "/tmp/names"]).stdout.decode()
            assert "secret" not in names and "socket" not in names and "/dev/full" not in names
        with guest.popen(["echo", "said"], stdout=file) as process:
            process.wait(patience(10))
    assert (tmp_path / "secret/file").read_text() == "secret\nsaid\n"


@pytest.mark.parametrize(("path", "flags"), [("/etc", os.O_RDONLY), ("/etc/passwd", os.O_PATH), ("/etc", os.O_PATH)])
def test_no_directory_and_no_mere_path_is_a_stream(guest: Container, path: str, flags: int) -> None:
    fd = os.open(path, flags)
    with pytest.raises(InvalidArgumentError, match="standard input is a"):
        guest.popen(["ls", "/proc/self/fd/0/"], stdin=fd)
    os.close(fd)


def test_the_null_device_of_its_programs_is_not_the_hosts_to_change(guest: Container) -> None:
    before = os.stat("/dev/null").st_mtime_ns
    script = "touch -d 2001-01-01 /proc/self/fd/0; chmod 0666 /proc/self/fd/0; exit 0"
    assert guest.run(["/bin/sh", "-c", script]).returncode == 0
    try:
        assert os.stat("/dev/null").st_mtime > 1_000_000_000
    finally:
        os.utime("/dev/null", ns=(before, before))


def test_what_is_executed_by_a_function_that_entered_holds_no_file_of_ours(guest: Container) -> None:
    if guest.spec.privileged:
        with pytest.raises(OperationUnsupportedError):
            guest.enter(os.getcwd)
        return
    mine = {os.readlink(f"/proc/self/fd/{number}") for number in range(3)} - {os.devnull}
    theirs = guest.enter(_streams)
    assert all(each == os.devnull or each.startswith("pipe:") for each in theirs)
    assert not mine & set(theirs)


def _streams() -> list[str]:
    return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]


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
