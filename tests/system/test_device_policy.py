"""Device policy as programs inside meet it: v1's device controller or a BPF program, whichever the host has."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.policy.devicepolicy import device_rules
from insula.kernel import bpf
from insula.kernel.bpfassembler import BpfAssembler
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies
from insula.kernel.cgroups.devicecontroller import V2Devices
from tests.waiting import until

pytestmark = pytest.mark.machine("devices")

ZERO = DeviceRule(kind="c", major=1, minor=5, access="rw")
FULL = DeviceRule(kind="c", major=1, minor=7, access="w")

READER = """
import errno, sys
for line in sys.stdin:
    mode, path = line.split()
    try:
        open(path, mode).close()
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


class Opener:
    """A program in the group that tries to open what it is told."""

    def __init__(self, group: Cgroup) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        group.enter(self.process.pid)

    def opens(self, path: str, mode: str = "rb") -> str:
        """Return `ok` or the error's name."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{mode} {path}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = Cgroup.create(Hierarchies.detect(), f"test.slice/devices-{os.getpid()}.scope")
    yield made
    made.kill()
    made.remove()


@pytest.fixture
def opener(group: Cgroup) -> Iterator[Opener]:
    made = Opener(group)
    yield made
    made.end()


def test_only_what_is_allowed_can_be_opened(group: Cgroup, opener: Opener) -> None:
    assert opener.opens("/dev/full") == "ok"
    group.allow_devices((ZERO,))
    assert opener.opens("/dev/zero") == "ok"
    assert opener.opens("/dev/full") == "EPERM"


def test_access_is_told_apart(group: Cgroup, opener: Opener) -> None:
    group.allow_devices((FULL,))
    assert opener.opens("/dev/full", "wb") == "ok"
    assert opener.opens("/dev/full", "rb") == "EPERM"
    assert opener.opens("/dev/full", "r+b") == "EPERM"


def test_the_policy_changes_while_programs_run(group: Cgroup, opener: Opener) -> None:
    group.allow_devices((ZERO,))
    group.allow_devices((FULL,))
    assert (opener.opens("/dev/zero"), opener.opens("/dev/full", "wb")) == ("EPERM", "ok")
    group.allow_devices((ZERO, FULL))
    assert (opener.opens("/dev/zero"), opener.opens("/dev/full", "wb")) == ("ok", "ok")
    group.allow_devices(())
    assert (opener.opens("/dev/zero"), opener.opens("/dev/full", "wb")) == ("EPERM", "EPERM")


def test_the_default_policy_gives_every_programs_devices_and_no_disk(group: Cgroup, opener: Opener) -> None:
    group.allow_devices(device_rules(()))
    assert [opener.opens(f"/dev/{name}") for name in ("null", "zero", "full", "random", "urandom")] == ["ok"] * 5
    for name in ("mem", "kmsg", "port"):
        if Path("/dev", name).exists():
            assert opener.opens(f"/dev/{name}") == "EPERM"


def mknod_as(group: Cgroup, path: Path, number: int) -> str:
    """Try to make a node of major 1 in a process of the group; return `ok` or the error's name."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "ok"
        try:
            group.enter(os.getpid())
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, number))
        except OSError as error:
            answer = errno.errorcode[error.errno or 0]
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer


def test_a_node_that_is_not_allowed_cannot_even_be_made(group: Cgroup, scratch: Path) -> None:
    group.allow_devices((DeviceRule(kind="c", major=1, minor=5, access="m"),))
    assert mknod_as(group, scratch / "zero", 5) == "ok"
    assert mknod_as(group, scratch / "full", 7) == "EPERM"


@pytest.mark.requires("cgroup2", "bpf.cgroup_device")
def test_a_program_is_replaced_and_never_piles_up(group: Cgroup) -> None:
    directory = group.scope or ""
    devices = V2Devices(directory)

    def attached(rules: tuple[DeviceRule, ...]) -> list[int]:
        devices.allow(rules)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return bpf.attached(fd, bpf.CGROUP_DEVICE)
        finally:
            os.close(fd)

    first, second = attached((ZERO,)), attached((FULL,))
    assert (len(first), len(second)) == (1, 1)
    assert first != second


@pytest.mark.requires("cgroup2", "bpf.cgroup_device")
def test_a_program_is_loaded_once_for_all_groups_that_want_the_same(group: Cgroup) -> None:
    directory, loaded = group.scope or "", bpf.LoadedPrograms()

    def attached(rules: tuple[DeviceRule, ...]) -> list[int]:
        V2Devices(directory).allow(rules, loaded)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return bpf.attached(fd, bpf.CGROUP_DEVICE)
        finally:
            os.close(fd)

    first, second = attached((ZERO,)), attached((FULL,))
    assert [attached((ZERO,)), attached((ZERO,)), attached((FULL,))] == [first, first, second]
    loaded.close()
    assert attached((FULL,)) not in (first, second)
    loaded.close()


@pytest.mark.requires("cgroup2", "bpf.cgroup_device")
def test_somebody_elses_program_stays(group: Cgroup) -> None:
    fd = os.open(group.scope or "", os.O_RDONLY | os.O_DIRECTORY)
    allow_all = BpfAssembler()
    allow_all.leave(1)
    theirs = bpf.load_program(bpf.CGROUP_DEVICE, allow_all.program(), "theirs")
    bpf.attach(fd, bpf.CGROUP_DEVICE, theirs)
    before = bpf.attached(fd, bpf.CGROUP_DEVICE)
    os.close(theirs)
    for rules in ((ZERO,), (FULL,)):
        V2Devices(group.scope or "").allow(rules)
    now = bpf.attached(fd, bpf.CGROUP_DEVICE)
    os.close(fd)
    assert len(now) == 2
    assert set(before) < set(now)


@pytest.mark.requires("cgroup2", "bpf.cgroup_device")
def test_a_v2_policy_of_many_rules_is_accepted_and_holds(group: Cgroup, opener: Opener) -> None:
    many = [DeviceRule(kind="b", major=major, minor=minor) for major in range(100, 200) for minor in range(10)]
    V2Devices(group.scope or "").allow((*many, ZERO))
    until(lambda: opener.opens("/dev/zero") == "ok", "the allowed device being open")
    assert opener.opens("/dev/full") == "EPERM"
