"""Processors and memory nodes are read from sysfs."""

from pathlib import Path

import pytest

from insula.errors import InternalError
from insula.service.topology import PagePool, read_topology
from tests.unit.service.hosttree import two_node_host, write


def test_nodes_sockets_cores_and_threads_are_counted_with_offline_processors(tmp_path: Path) -> None:
    topology = read_topology(two_node_host(tmp_path))

    assert topology.shape() == (2, 1, 2, 2)
    assert topology.present == 8
    assert topology.online == frozenset(range(7))
    assert [cpu.number for cpu in topology.cells[1].cpus] == [4, 5, 6]
    assert topology.cells[1].distances == ((0, 21), (1, 10))


def test_memory_taken_by_huge_pages_is_not_counted_as_usual_pages(tmp_path: Path) -> None:
    cell = read_topology(two_node_host(tmp_path)).cells[0]

    assert cell.pages == (PagePool(size=4, total=(8192 - 2048) // 4), PagePool(size=2048, total=1))


def test_a_kernel_without_numa_is_one_node(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"proc/meminfo": "MemTotal: 4096 kB\n", "sys/devices/system/cpu/online": "0-2\n"},
    )
    topology = read_topology(tmp_path)

    assert len(topology.cells) == 1
    assert topology.cells[0].memory == 4096
    assert topology.shape() == (1, 1, 3, 1)


def test_an_uneven_host_is_described_as_so_many_cores(tmp_path: Path) -> None:
    root = two_node_host(tmp_path)
    (root / "sys/devices/system/cpu/present").write_text("0-8\n")

    assert read_topology(root).shape() == (1, 1, 9, 1)


def test_a_missing_sysfs_is_named(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="is /sys mounted"):
        read_topology(tmp_path)
