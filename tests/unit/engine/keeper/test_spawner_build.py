"""The spawner's bytes: of this source, the same when they are built again, and nothing in them that is not needed."""

import array
import hashlib
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from insula.engine.keeper.spawner import READY, Order, built_program
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag
from tests.handpacked import Packed
from tests.spawnerbuild import SOURCE, build
from tests.spawning import SpawnerAlone
from tests.waiting import patience

MACHINES = {"x86_64": 62, "aarch64": 183}
"""And how ELF calls them. Source: elf.h, EM_X86_64 and EM_AARCH64."""
LARGEST = 8192
EXECUTABLE, WRITABLE, LOADED = 1, 2, 1


def test_the_bytes_were_built_of_this_source() -> None:
    """Who changes spawner.c runs scripts/build-spawner."""
    said = (SOURCE / "BUILT_WITH").read_text().split()[1]
    assert said == hashlib.sha256((SOURCE / "spawner.c").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "machine", [pytest.param(each, marks=pytest.mark.requires(f"spawner-compiler.{each}")) for each in MACHINES]
)
def test_the_same_compiler_makes_the_same_bytes_wherever_it_is(machine: str, tmp_path: Path) -> None:
    build(tmp_path)
    assert (tmp_path / f"spawner.{machine}").read_bytes() == (SOURCE / f"spawner.{machine}").read_bytes()


@pytest.mark.parametrize("machine", MACHINES)
def test_it_is_small_static_and_writes_to_nothing_of_its_own(machine: str) -> None:
    content = (SOURCE / f"spawner.{machine}").read_bytes()
    assert len(content) < LARGEST
    assert content[:7] == b"\x7fELF\x02\x01\x01"
    kind, elf_machine = struct.unpack_from("<HH", content, 16)
    assert (kind, elf_machine) == (2, MACHINES[machine])
    headers, size, count = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<II", content, headers + size * index) for index in range(count)]
    assert not [flags for _, flags in segments if flags & EXECUTABLE and flags & WRITABLE]
    assert [flags & WRITABLE for segment, flags in segments if segment == LOADED] == [0]
    # No dynamic section, no interpreter, no notes: neither libraries nor a trace of where it was built.
    assert not {segment for segment, _ in segments} & {2, 3, 4}


@pytest.mark.requires("compiler")
def test_what_the_compiler_here_builds_serves_as_well(tmp_path: Path) -> None:
    build(tmp_path)
    alone = SpawnerAlone((tmp_path / f"spawner.{os.uname().machine}").read_bytes())
    program = Packed()
    program.end(3)
    assert alone.order(program.encoded()).began().status() == 3
    alone.close()


@pytest.mark.requires("qemu-aarch64")
def test_the_one_for_aarch64_starts_and_takes_orders(tmp_path: Path) -> None:
    """On an emulated processor, whose emulator knows no clone3(2): that is what each order is answered with."""
    program = tmp_path / "spawner"
    shutil.copy(SOURCE / "spawner.aarch64", program)
    program.chmod(0o755)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = Fd(os.open("/dev/null", os.O_RDWR))
    process = subprocess.Popen(["qemu-aarch64-static", str(program)], stdin=theirs.fileno(), stdout=null)
    theirs.close()
    ours.settimeout(patience(30))
    assert ours.recv(16) == READY
    itself = Fd(os.pidfd_open(os.getpid()))
    for more in ({}, {"owner": (1000, 1000), "pids": (1, 4711)}, {"standing": ((itself, CloneFlag.NEWUTS),)}):
        assert ordered(ours, null, **more) in (b'{"not_cloned":38}', b'{"not_cloned":1}')
    assert Path(f"/proc/{process.pid}/fd/66").exists() and process.poll() is None
    ours.close()
    assert process.wait(patience(30)) == 0
    os.close(null)
    os.close(itself)


def ordered(spawner: socket.socket, image: Fd, **more: Any) -> bytes:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        order = Order(flags=CloneFlag.NOTHING, limits=(1024, 4096), image=image, channel=Fd(theirs.fileno()), **more)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", order.fds()))]
        spawner.sendmsg([order.encoded()], rights)
        ours.settimeout(patience(30))
        return ours.recv(100)


def test_the_package_has_a_spawner_for_this_machine_that_the_kernel_executes() -> None:
    assert built_program() == (SOURCE / f"spawner.{os.uname().machine}").read_bytes()
    alone = SpawnerAlone()
    assert alone.spawner.usable
    alone.close()
