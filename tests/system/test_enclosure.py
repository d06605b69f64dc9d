"""The world that system tests live in, and the hosts made in it."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests import cgrouptree, leaks
from tests.enclosure import LEAF, Enclosure
from tests.testhost import TestHost
from tests.waiting import until


def links() -> list[str]:
    return [line.partition(":")[0].strip() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]]


def namespace(kind: str) -> str:
    return os.readlink(f"/proc/thread-self/ns/{kind}")


@pytest.mark.machine("tests")
def test_only_loopback_is_there_and_it_is_up() -> None:
    assert "lo" in links()
    assert os.listdir("/sys/class/net") == links() == ["lo"]
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


@pytest.mark.machine("tests")
def test_every_hierarchy_is_seen_from_its_own_root_with_nothing_but_the_tests_in_it() -> None:
    for hierarchy in cgrouptree.hierarchies():
        assert hierarchy.own.parent == hierarchy.mount_point
        groups = [each.name for each in hierarchy.mount_point.iterdir() if each.is_dir() and each.suffix != ".slice"]
        assert groups == [hierarchy.own.name], "slices may stay, as the leak check has it"


@pytest.mark.requires("cgroup1.cpuset")
def test_on_v1_the_tests_stand_in_a_leaf_that_has_processors() -> None:
    (cpuset,) = (each for each in cgrouptree.hierarchies() if "cpuset" in each.controllers and each.version == 1)
    assert cpuset.own.name == LEAF
    assert (cpuset.own / "cpuset.cpus").read_text().strip()


@pytest.mark.machine("tests")
@pytest.mark.requires("cgroup2.memory")
def test_on_v2_the_root_hands_its_controllers_down() -> None:
    (hierarchy,) = (each for each in cgrouptree.hierarchies() if each.version == 2)
    enabled = (hierarchy.mount_point / "cgroup.subtree_control").read_text().split()
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(enabled)


def test_a_command_can_run_outside(world: Enclosure) -> None:
    answer = subprocess.run(world.outside("readlink", "/proc/self/ns/net"), capture_output=True, text=True, check=True)
    assert answer.stdout.strip() not in ("", namespace("net"))


def test_orphans_become_children_of_the_test_process() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 30 & echo $!; exit 0"], stdout=subprocess.PIPE, text=True)
    assert shell.stdout
    with shell.stdout:
        orphan = int(shell.stdout.readline())
    shell.wait()
    status = Path(f"/proc/{orphan}/status")
    until(lambda: f"PPid:\t{os.getpid()}\n" in status.read_text(), "the orphan coming to us")
    os.kill(orphan, 9)
    os.waitpid(orphan, 0)


@pytest.mark.machine("tests")
def test_a_test_host_has_a_network_of_its_own(test_host: TestHost) -> None:
    test_host.run("ip", "link", "add", "br0", "type", "bridge")
    assert test_host.inside(links) == ["lo", "br0"]
    assert test_host.run("ls", "/sys/class/net").stdout.split() == ["br0", "lo"]
    assert links() == ["lo"]
    test_host.run("ip", "link", "delete", "br0")


def test_a_socket_made_in_a_test_hosts_network_stays_there(test_host: TestHost) -> None:
    here = namespace("net")
    with test_host.network():
        assert namespace("net") != here
        server = socket.create_server(("127.0.0.1", 0))
    assert namespace("net") == here
    with server:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.getsockname())
        with test_host.network(), socket.create_connection(server.getsockname()):
            pass


def test_a_test_host_needs_no_process(test_host: TestHost) -> None:
    assert leaks.descendants() == []
    process = test_host.start("sleep", "30")
    until(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != namespace("net"), "the command entering the host")
    process.kill()
    process.wait()


def test_a_failing_command_in_a_test_host_says_what_it_said(test_host: TestHost) -> None:
    with pytest.raises(AssertionError, match=r"sh -c echo no >&2; exit 3 ended with 3: no"):
        test_host.run("sh", "-c", "echo no >&2; exit 3")


def test_what_a_thread_enters_ends_with_it(test_host: TestHost) -> None:
    before = [namespace(kind) for kind in ("net", "mnt", "uts")]
    inside = test_host.inside(lambda: [namespace(kind) for kind in ("net", "mnt", "uts")])
    assert [namespace(kind) for kind in ("net", "mnt", "uts")] == before
    assert all(there != here for there, here in zip(inside, before, strict=True))
