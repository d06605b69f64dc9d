"""Tests of insula.engine.steps.guest.namespaces."""

import errno
import fcntl
import os
import socket
from pathlib import Path

import pytest

from insula.engine.spec import Namespace
from insula.engine.steps.guest.namespaces import (
    BecomeRoot,
    BringUpLoopback,
    EnterContainer,
    EnterTime,
    JoinGroups,
    MakeNetwork,
    MakeTime,
    RootTheGroups,
    SetHostname,
)
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, unshare
from tests.descriptors import open_fds
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.inchild import in_child, in_namespaces
from tests.waiting import patience

SOCKETS_NAMESPACE = 0x894C
"""The ioctl that opens the network namespace of a socket. Source: linux/sockios.h, SIOCGSKNS."""


def namespace(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def loopback() -> str:
    """Return the flags of lo as this process's network namespace has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with socket.create_connection(listener.getsockname(), timeout=patience(5)):
                return "up"
        except OSError as error:
            return os.strerror(error.errno or 0)


def test_every_kind_of_namespace_has_its_flag() -> None:
    assert set(NAMESPACE_FLAGS) == {kind.value for kind in Namespace}
    assert len(set(NAMESPACE_FLAGS.values())) == len(NAMESPACE_FLAGS)


def test_a_network_is_made_and_its_loopback_brought_up() -> None:
    def make() -> tuple[bool, str, str]:
        before = namespace("net")
        perform(guest(), MakeNetwork(why="test", netlink=False))
        down = loopback()
        perform(guest(), BringUpLoopback(why="test"))
        return namespace("net") != before, down, loopback()

    assert in_namespaces(make) == (True, os.strerror(errno.ENETUNREACH), "up")


def test_the_netlink_socket_that_is_told_is_of_the_new_network() -> None:
    def make() -> None:
        us = guest()
        before = open_fds()
        perform(us, MakeNetwork(why="test", netlink=True))
        ((message, fds),) = us.told
        assert (message, list(fds)) == ({"netlink": True}, ["netlink"])
        with socket.socket(fileno=fds["netlink"]) as netlink:
            assert (netlink.family, netlink.proto) == (socket.AF_NETLINK, socket.NETLINK_ROUTE)
            assert os.readlink(f"/proc/self/fd/{fcntl.ioctl(netlink, SOCKETS_NAMESPACE)}") == namespace("net")
        assert len(open_fds() - before) == 1, "the namespace's fd, and no socket"

    in_namespaces(make)


def test_groups_are_joined_through_the_files_that_were_passed(tmp_path: Path) -> None:
    fds = {name: os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("join0", "join1", "init")}
    perform(guest(**fds), JoinGroups(why="test", count=2))
    assert [(tmp_path / name).read_text() for name in fds] == ["0", "0", ""]
    os.close(fds["init"])


def test_a_group_that_refuses_fails_the_step() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        perform(guest(join0=writer), JoinGroups(why="test", count=1))
    os.close(writer)


@pytest.mark.requires("root")
def test_root_inside_is_become_with_all_its_ids_and_no_groups() -> None:
    def become() -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
        perform(guest(), BecomeRoot(why="test"))
        return os.getresuid(), os.getresgid(), os.getgroups()

    assert in_namespaces(become, ids=[(0, 100000, 10)]) == ((0, 0, 0), (0, 0, 0), [])


@pytest.mark.requires("root")
def test_without_a_map_there_is_no_root_to_become() -> None:
    def become() -> None:
        unshare(CloneFlag.NEWUSER)
        perform(guest(), BecomeRoot(why="test"))

    with pytest.raises(OSError, match="Invalid argument"):
        in_child(become)


def test_a_group_namespace_shows_its_own_group_as_the_root() -> None:
    def root() -> list[str]:
        perform(guest(), RootTheGroups(why="test"))
        return [line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()]

    assert set(in_namespaces(root)) == {"/"}


@pytest.mark.requires("timens")
def test_a_time_namespace_is_made_for_children_and_then_entered() -> None:
    def enter() -> tuple[str, str, str, str]:
        before = namespace("time")
        perform(guest(), MakeTime(why="test"))
        waiting, still = namespace("time_for_children"), namespace("time")
        perform(guest(), EnterTime(why="test"))
        return before, still, waiting, namespace("time")

    before, still, waiting, entered = in_namespaces(enter)
    assert still == before
    assert entered == waiting != before


def test_the_host_name_is_set_in_the_guests_namespace_only() -> None:
    own = os.uname().nodename

    def name(text: str) -> str:
        perform(guest(), SetHostname(why="test", name=text))
        return os.uname().nodename

    assert in_namespaces(lambda: name("web.example"), CloneFlag.NEWUTS) == "web.example"
    assert in_namespaces(lambda: name("ü" * 32), CloneFlag.NEWUTS) == "ü" * 32
    with pytest.raises(OSError, match="Invalid argument"):
        in_namespaces(lambda: name("x" * 65), CloneFlag.NEWUTS)
    assert os.uname().nodename == own


def test_who_enters_is_where_the_container_is_and_keeps_the_rest() -> None:
    ready, is_ready = os.pipe()
    may_go, go = os.pipe()

    def be_a_container() -> None:
        unshare(CloneFlag.NEWUSER | CloneFlag.NEWUTS | CloneFlag.NEWNET | CloneFlag.NEWIPC)
        os.write(is_ready, b".")
        os.read(may_go, 1)

    def enter(pid: int) -> None:
        os.read(ready, 1)
        entered.update(in_child(lambda: there(pid)))
        theirs.update({kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACE_FLAGS})
        os.write(go, b".")

    def there(pid: int) -> dict[str, str]:
        init = os.pidfd_open(pid)
        perform(guest(init=init), EnterContainer(why="test", kinds=["user", "uts", "net"]))
        return {kind: namespace(kind) for kind in NAMESPACE_FLAGS}

    entered: dict[str, str] = {}
    theirs: dict[str, str] = {}

    in_child(be_a_container, enter)
    same = {kind for kind in NAMESPACE_FLAGS if entered[kind] == theirs[kind]}
    assert {"user", "uts", "net"} <= same
    assert "ipc" not in same
    assert entered["ipc"] == namespace("ipc")
    for fd in (ready, is_ready, may_go, go):
        os.close(fd)


def test_what_is_no_init_cannot_be_entered() -> None:
    with open("/dev/null") as null, pytest.raises(OSError, match="setns"):
        in_child(lambda: perform(guest(init=null.fileno()), EnterContainer(why="test", kinds=["uts"])))
