"""Tests of insula.kernel.process."""

import ctypes
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from insula.kernel import process
from insula.kernel.process import CloneFlag, clone
from tests.waiting import patience, until


def child(action: str) -> tuple[int, int]:
    """Return pid and pidfd of a clone that ends in the way named."""
    pid, pidfd = clone(CloneFlag.NOTHING)
    if pid == 0:
        if action == "exit":
            os._exit(7)
        signal.pause()
    return pid, pidfd


def reaped(pidfd: int) -> int:
    select.select([pidfd], [], [], patience(10))
    status = process.wait_status(pidfd)
    os.close(pidfd)
    assert status is not None
    return status


def test_a_clone_is_our_child_with_a_pidfd_of_its_own() -> None:
    pid, pidfd = child("exit")
    assert f"Pid:\t{pid}" in Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    assert os.waitstatus_to_exitcode(reaped(pidfd)) == 7


def test_a_living_child_has_no_status_yet_and_a_killed_one_its_signal() -> None:
    pid, pidfd = child("pause")
    assert process.wait_status(pidfd) is None
    os.kill(pid, signal.SIGKILL)
    assert reaped(pidfd) == signal.SIGKILL


def test_what_is_no_child_of_ours_cannot_be_reaped() -> None:
    pidfd = os.pidfd_open(os.getppid())
    with pytest.raises(ChildProcessError):
        process.wait_status(pidfd)
    os.close(pidfd)


def test_a_pid_that_is_taken_is_refused() -> None:
    with pytest.raises(OSError, match="clone3") as caught:
        clone(CloneFlag.NOTHING, pids=[os.getpid()])
    assert isinstance(caught.value, FileExistsError | PermissionError)


def test_a_stranger_that_lives_has_not_ended() -> None:
    pidfd = os.pidfd_open(os.getpid())
    assert process.exit_of_stranger(pidfd) is None
    assert not process.has_ended(pidfd)
    os.close(pidfd)


def test_a_dead_process_has_ended_before_anybody_reaps_it() -> None:
    _, pidfd = child("exit")
    until(lambda: process.has_ended(pidfd), "the end of the child")
    assert reaped(pidfd) == 7 << 8


@pytest.mark.requires("pidfd.info")
def test_a_reaped_process_tells_how_it_ended_where_the_kernel_knows() -> None:
    _, pidfd = child("exit")
    keep = os.dup(pidfd)
    reaped(pidfd)
    # Kernels from 6.13 to 6.14 have the request, and cannot answer it.
    assert process.exit_of_stranger(keep) in {7 << 8, None}
    os.close(keep)


def test_start_times_tell_processes_apart_and_stay() -> None:
    own = process.start_time(os.getpid())
    pid, pidfd = child("pause")
    assert process.start_time(pid) >= own
    assert process.start_time(os.getpid()) == own
    os.kill(pid, signal.SIGKILL)
    reaped(pidfd)
    with pytest.raises(OSError, match="No such"):
        process.start_time(pid)


def test_name_and_dumpable_are_the_processes_own() -> None:
    """In a fork, since a test runner without its name would confuse people."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        process.set_name("insula-test-long-name")
        process.set_dumpable(False)
        theirs.send(Path("/proc/self/comm").read_bytes())
        signal.pause()
    assert ours.recv(100) == b"insula-test-lon\n"
    until(lambda: os.stat(f"/proc/{pid}/environ").st_uid == 0, "its files belonging to root")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    ours.close()
    theirs.close()


def test_the_structures_have_the_kernels_sizes() -> None:
    # clone(2): CLONE_ARGS_SIZE_VER2; linux/pidfd.h: PIDFD_INFO_SIZE_VER0.
    assert ctypes.sizeof(process.CloneArguments) == 88
    assert ctypes.sizeof(process.PidfdInformation) == 64


@pytest.mark.parametrize("code", [0, 255, -signal.SIGTERM, -signal.SIGHUP])
def test_a_status_is_told_as_wait_tells_it_and_once(code: int) -> None:
    pid = os.fork()
    if pid == 0:
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
            os.kill(os.getpid(), -code)
        os._exit(code)
    pidfd = os.pidfd_open(pid)
    keep = os.dup(pidfd)
    status = reaped(pidfd)
    assert os.waitstatus_to_exitcode(status) == code
    with pytest.raises(ChildProcessError):
        process.wait_status(keep)
    os.close(keep)
