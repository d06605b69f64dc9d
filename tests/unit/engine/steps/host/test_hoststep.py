"""Tests of insula.engine.steps.host.hoststep."""

import asyncio
import os

import pytest

from insula.engine.steps.host.hoststep import HostStep, inline
from insula.kernel.fds import NO_FD, Fd
from tests.unit.engine.steps.host.sites import context, perform


def null() -> Fd:
    return Fd(os.open("/dev/null", os.O_RDONLY))


def is_open(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


def test_a_site_closes_every_fd_it_has_and_may_be_closed_again() -> None:
    at = context()
    at.process = Fd(os.open("/proc/self", os.O_PATH | os.O_DIRECTORY))
    at.netlink = null()
    at.clone_fds["cgroup"], at.fds["root"] = null(), null()
    kept, namespace = at.keep(null()), at.user_namespace
    fds = [at.process, at.netlink, at.clone_fds["cgroup"], at.fds["root"], kept, namespace]
    assert all(is_open(fd) for fd in fds)
    at.close()
    assert [fd for fd in fds if is_open(fd)] == []
    other = null()
    at.close()
    # The number is somebody else's by now.
    assert is_open(other)
    os.close(other)
    assert (at.process, at.netlink, at.fds, at.clone_fds) == (NO_FD, NO_FD, {}, {})


def test_the_childs_user_namespace_is_opened_once() -> None:
    at = context()
    at.process = Fd(os.open("/proc/self", os.O_PATH | os.O_DIRECTORY))
    first = at.user_namespace
    assert os.readlink(f"/proc/self/fd/{first}") == os.readlink("/proc/self/ns/user")
    assert at.user_namespace == first
    at.close()


def test_without_a_child_there_is_no_user_namespace() -> None:
    with pytest.raises(OSError, match=r"ns/user|Bad file descriptor"):
        _ = context().user_namespace


def test_two_sites_share_nothing() -> None:
    first, second = context(), context()
    first.fds["root"] = NO_FD
    first.clone_fds["cgroup"] = NO_FD
    assert (second.fds, second.clone_fds) == ({}, {})


def test_inline_performs_right_here() -> None:
    assert asyncio.run(inline(os.getpid)) == os.getpid()


def test_a_step_needs_no_child_unless_it_says_so_and_does_nothing_by_itself() -> None:
    assert not HostStep.needs_child
    with pytest.raises(NotImplementedError):
        perform(HostStep(why="nothing"), context())
