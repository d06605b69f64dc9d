"""Tests of insula.engine.steps.guest.confinement."""

import errno
import os
import resource
import socket
from pathlib import Path

import pytest

from insula.engine.spec import Seccomp
from insula.engine.steps.guest.confinement import (
    BecomeUser,
    JoinFreshKeyring,
    KeepCapabilities,
    LearnAccount,
    LimitResource,
    LoadFilters,
    RefuseNewPrivileges,
    ScopeSockets,
)
from insula.kernel import privileges
from insula.kernel.fds import NO_FD
from insula.kernel.process import CloneFlag
from insula.kernel.syscall import syscall
from tests.unit.engine.steps.guest.performing import account, guest, perform
from tests.unit.engine.steps.inchild import in_child, in_namespaces

# Source: keyctl(2), linux/keyctl.h.
KEYCTL = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
GET_KEYRING_ID = 0
SESSION_KEYRING = -3


def own_status(field: str) -> str:
    """Return a field of /proc/self/status."""
    return next(
        line.partition(":")[2].strip()
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(f"{field}:")
    )


@pytest.mark.requires("landlock.scopes")
def test_abstract_sockets_of_others_are_given_up_and_those_of_ones_own_are_not() -> None:
    name = f"\0insula-test-{os.getpid()}"

    def connects() -> tuple[int, int]:
        perform(guest(), ScopeSockets(why="test"))
        with (
            socket.socket(socket.AF_UNIX) as own,
            socket.socket(socket.AF_UNIX) as one,
            socket.socket(socket.AF_UNIX) as other,
        ):
            own.bind(f"{name}-own")
            own.listen()
            return one.connect_ex(f"{name}-own"), other.connect_ex(name)

    with socket.socket(socket.AF_UNIX) as others:
        others.bind(name)
        others.listen()
        assert in_child(connects) == (0, errno.EPERM)


def test_a_group_is_named_only_where_one_was_asked_for() -> None:
    assert str(BecomeUser(why="test", user="www", group=None)) == "become user www"
    assert str(BecomeUser(why="test", user="www", group="staff")) == "become user www, group staff"


@pytest.mark.parametrize(("soft", "hard"), [(100, 200), (0, 0)])
def test_a_resource_is_limited(soft: int, hard: int) -> None:
    def limit() -> tuple[int, int]:
        perform(guest(), LimitResource(why="test", name="NOFILE", soft=soft, hard=hard))
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(limit) == (soft, hard)


def test_no_number_is_infinity() -> None:
    def limit() -> tuple[int, int]:
        perform(guest(), LimitResource(why="test", name="CPU", soft=None, hard=None))
        return resource.getrlimit(resource.RLIMIT_CPU)

    assert in_child(limit) == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_limit_that_cannot_be_raised_is_explained() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (100, 100))  # one that the test itself does not need
        perform(guest(), LimitResource(why="test", name="CORE", soft=100, hard=101))

    # In a user namespace CAP_SYS_RESOURCE is there, and worth nothing for this.
    with pytest.raises(PermissionError, match="the hard limit is lower here and cannot be raised") as caught:
        in_namespaces(limit, CloneFlag.NOTHING)
    assert (caught.value.errno, caught.value.filename) == (errno.EPERM, "CORE")


@syscall(KEYCTL)
def keyctl(operation: int, key: int, create: int) -> int:
    raise NotImplementedError


def test_the_keyring_joined_is_another_than_the_sessions() -> None:
    def join() -> tuple[int, int]:
        before = keyctl(GET_KEYRING_ID, SESSION_KEYRING, 0)
        perform(guest(), JoinFreshKeyring(why="test"))
        return before, keyctl(GET_KEYRING_ID, SESSION_KEYRING, 0)

    before, after = in_child(join)
    assert after != before
    assert keyctl(GET_KEYRING_ID, SESSION_KEYRING, 0) == before


@pytest.mark.requires("root")
def test_a_user_is_become_for_good_with_its_groups_while_capabilities_wait_for_their_own_step() -> None:
    def become() -> tuple[object, ...]:
        before = privileges.held()
        us = guest(account=account(33, 34, [34, 50], "/var/www"))
        perform(us, LearnAccount(why="test", user="www"), BecomeUser(why="test", user="www", group=None))
        after = privileges.held()
        kept = (after.permitted, after.effective) == (before.permitted, before.effective)
        return os.getresuid(), os.getresgid(), os.getgroups(), kept

    assert in_child(become) == ((33, 33, 33), (34, 34, 34), [34, 50], True)


@pytest.mark.requires("root")
def test_as_many_groups_as_there_may_be_are_taken() -> None:
    groups = list(range(1000, 1000 + 65536))

    def become() -> bool:
        us = guest(account=account(33, 34, groups, most_groups=65536))
        steps = (LearnAccount(why="test", user="www"), BecomeUser(why="test", user="www", group=None))
        perform(us, *steps, most_groups=65536)
        return os.getgroups() == groups

    assert in_child(become)


@pytest.mark.requires("root")
def test_the_users_terminal_becomes_its_own() -> None:
    master, slave = os.openpty()

    def become() -> tuple[int, int, int]:
        os.dup2(slave, 0)
        us = guest(account=account(4242, 4343, [4343]))
        us.terminals.append(NO_FD)
        perform(us, LearnAccount(why="test", user="4242"), BecomeUser(why="test", user="4242", group="4343"))
        return os.fstat(0).st_uid, os.fstat(0).st_gid, os.getgid()

    # Its group stays that of terminals.
    group = os.fstat(slave).st_gid
    assert in_child(become) == (4242, group, 4343)
    os.close(master)
    os.close(slave)


def test_an_account_of_another_length_changes_nothing() -> None:
    def become() -> tuple[str, bool]:
        before = os.getresuid(), os.getresgid()
        us = guest(account=account(1, 1, [1], most_groups=3))
        try:
            perform(us, LearnAccount(why="test", user="www"), BecomeUser(why="test", user="www", group=None))
        except OSError as error:
            return str(error), (os.getresuid(), os.getresgid()) == before
        return "", False

    text, unchanged = in_namespaces(become, CloneFlag.NOTHING)
    assert "something else" in text
    assert unchanged


def test_nobody_is_become_who_was_not_learnt() -> None:
    with pytest.raises(ValueError, match="not known yet"):
        perform(guest(), BecomeUser(why="test", user="www", group=None))


def test_filters_are_loaded_and_refuse_what_they_refuse() -> None:
    def load() -> tuple[str, str]:
        perform(guest(), RefuseNewPrivileges(why="loading is allowed then"))
        perform(guest(), LoadFilters(why="test", seccomp=Seccomp(refuse=("uname",))))
        with pytest.raises(PermissionError):
            os.uname()
        return own_status("Seccomp"), own_status("Seccomp_filters")

    mode, count = in_child(load)
    assert (mode, int(count) >= 1) == ("2", True)


def test_of_the_capabilities_only_those_named_stay() -> None:
    def keep() -> tuple[frozenset[str], ...]:
        perform(guest(), KeepCapabilities(why="test", names=["chown", "kill"]))
        left = privileges.held()
        return left.effective, left.permitted, privileges.names_in(int(own_status("CapBnd"), 16))

    assert set(in_namespaces(keep, CloneFlag.NOTHING)) == {frozenset({"chown", "kill"})}


def test_no_exec_grants_privileges_any_more() -> None:
    def refuse() -> str:
        perform(guest(), RefuseNewPrivileges(why="test"))
        return own_status("NoNewPrivs")

    assert in_child(refuse) == "1"
