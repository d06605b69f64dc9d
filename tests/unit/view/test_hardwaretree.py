"""/sys/devices/system/cpu and node of a guest."""

from pathlib import Path

import pytest

from insula.view.hardwaretree import HardwareTree
from insula.view.viewedfiles import ViewedKind
from tests.viewedhost import host_machine


@pytest.fixture
def cpus(tmp_path: Path) -> HardwareTree:
    return HardwareTree(host_machine(tmp_path).cpus, lambda: (1, 3, 6), lambda: (0, 1))


@pytest.fixture
def nodes(tmp_path: Path) -> HardwareTree:
    return HardwareTree(
        host_machine(tmp_path).nodes, lambda: (1, 3), lambda: (0,), lambda node: f"memory of {node}\n".encode()
    )


def test_only_the_guests_processors_are_there(cpus: HardwareTree) -> None:
    assert [name for name in cpus.names("") if name.startswith("cpu")] == ["cpu1", "cpu3", "cpu6", "cpufreq"]
    assert cpus.kind("cpu1") is ViewedKind.DIRECTORY
    assert cpus.kind("cpu2") is None
    assert cpus.kind("cpu2/topology/core_id") is None
    with pytest.raises(FileNotFoundError):
        cpus.names("cpu2")
    with pytest.raises(FileNotFoundError):
        cpus.content("cpu2/topology/core_id")
    with pytest.raises(FileNotFoundError):
        cpus.target("cpu2/node0")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("online", b"1,3,6\n"),
        ("present", b"1,3,6\n"),
        ("possible", b"1,3,6\n"),
        ("enabled", b"1,3,6\n"),
        ("offline", b"\n"),
        ("isolated", b"1\n"),
        ("kernel_max", b"255\n"),
        ("cpu1/topology/core_siblings_list", b"1,3\n"),
        ("cpu1/topology/core_siblings", b"0a\n"),
        ("cpu6/topology/core_siblings", b"40\n"),
        ("cpufreq/policy3/related_cpus", b"3\n"),
        ("cpu6/topology/physical_package_id", b"1\n"),
    ],
)
def test_lists_and_masks_name_the_guests_processors_alone(cpus: HardwareTree, path: str, text: bytes) -> None:
    assert cpus.content(path) == text


def test_what_tells_how_busy_the_host_is_and_what_is_for_its_root_are_not_there(cpus: HardwareTree) -> None:
    assert "cpuidle" not in cpus.names("")
    assert cpus.kind("cpuidle/current_driver") is None
    assert cpus.kind("cpufreq/policy3/stats/time_in_state") is None
    assert cpus.names("cpufreq") == ["policy1", "policy3", "policy6"]
    assert cpus.names("cpu1") == ["node0", "topology"]
    assert cpus.kind("cpu1/cpuidle/state0/time") is None
    assert cpus.kind("cpu1/crash_notes") is None


def test_links_are_links(cpus: HardwareTree) -> None:
    assert cpus.kind("cpu6/node1") is ViewedKind.LINK
    assert cpus.target("cpu6/node1") == "../../node/node1"


def test_only_the_guests_nodes_are_there(nodes: HardwareTree) -> None:
    assert nodes.names("") == ["has_cpu", "has_memory", "node0", "online", "possible"]
    assert nodes.content("online") == b"0\n"
    assert nodes.kind("node1/cpulist") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("node0/cpulist", b"1,3\n"),
        ("node0/cpumap", b"0a\n"),
        ("node0/distance", b"10\n"),
        ("node0/meminfo", b"memory of 0\n"),
        ("node0/numastat", b"numa_hit 0\nnuma_miss 0\n"),
    ],
)
def test_a_node_tells_of_the_guest_alone(nodes: HardwareTree, path: str, text: bytes) -> None:
    assert nodes.content(path) == text


def test_a_nodes_own_pages_are_not_there(nodes: HardwareTree) -> None:
    assert nodes.kind("node0/hugepages") is None
    assert nodes.names("node0") == ["cpulist", "cpumap", "distance", "meminfo", "numastat"]


def test_a_directory_is_no_file(cpus: HardwareTree) -> None:
    with pytest.raises(FileNotFoundError):
        cpus.content("cpu1/topology")
