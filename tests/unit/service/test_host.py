"""The host is described as libvirt's node calls want it."""

import os
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
from insula.model.devices import DEFAULT_EMULATOR
from insula.model.numbers import ParameterType
from insula.service.host import NANOSECONDS_A_TICK, HostNode
from insula.service.parameters import Parameter
from tests.unit.service.hosttree import two_node_host


def system(release: str = "6.1.20-13-amd64") -> os.uname_result:
    return os.uname_result(("Linux", "build", release, "#1", "x86_64"))


@pytest.fixture
def host(tmp_path: Path) -> HostNode:
    return HostNode(root=two_node_host(tmp_path), system=system())


def test_node_info_counts_what_is_online(host: HostNode) -> None:
    info = host.node_info()

    assert (info.model, info.memory, info.cpus, info.mhz) == ("x86_64", 16000, 7, 2600)
    assert (info.nodes, info.sockets, info.cores, info.threads) == (2, 1, 2, 2)


def test_a_processor_that_comes_online_is_seen(tmp_path: Path) -> None:
    root = two_node_host(tmp_path)
    host = HostNode(root=root, system=system())
    assert host.cpu_map().online == frozenset(range(7))

    (root / "sys/devices/system/cpu/online").write_text("0-7\n")

    assert host.cpu_map().online == frozenset(range(8))


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.20-13-amd64", 6001020), ("6.18.44-fc-v595", 6018044), ("6.12+deb", 6012000), ("7.0.0rc3", 7000000)],
)
def test_the_kernel_is_the_hypervisor_and_its_version_is_coded_as_libvirt_does(release: str, version: int) -> None:
    assert HostNode(system=system(release)).version() == version


def test_processor_times_are_nanoseconds_in_libvirts_four_kinds(host: HostNode) -> None:
    ticks = {"kernel": 30 + 6 + 7, "user": 10 + 20, "idle": 400, "iowait": 5}

    assert host.cpu_stats() == {key: value * NANOSECONDS_A_TICK for key, value in ticks.items()}
    assert host.cpu_stats(0)["idle"] == 40 * NANOSECONDS_A_TICK


def test_a_processor_that_is_not_online_has_no_times(host: HostNode) -> None:
    with pytest.raises(InvalidArgumentError, match="no processor 7"):
        host.cpu_stats(7)


def test_memory_is_told_for_the_host_and_for_each_node(host: HostNode) -> None:
    assert host.memory_stats() == {"total": 16000, "free": 9000, "buffers": 10, "cached": 500}
    assert host.memory_stats(1) == {"total": 7808, "free": 4904}
    assert host.free_memory() == 9000 * 1024
    assert host.cells_free_memory(0, 9) == [4096 * 1024, 4904 * 1024]
    assert host.cells_free_memory(1, 1) == [4904 * 1024]
    with pytest.raises(InvalidArgumentError, match="no memory node 2"):
        host.memory_stats(2)
    with pytest.raises(InvalidArgumentError, match="out of range"):
        host.cells_free_memory(2, 1)


def test_free_pages_are_counted_for_each_size_and_node(host: HostNode) -> None:
    assert host.free_pages([4, 2048], -1, 1) == [9000 // 4, 2]
    assert host.free_pages([4, 2048], 0, 2) == [4096 // 4, 1, 4904 // 4, 1]
    with pytest.raises(InvalidArgumentError, match="no pages of 64 KiB"):
        host.free_pages([64], 0, 1)


def test_page_merging_shows_only_what_the_kernel_has(host: HostNode) -> None:
    assert host.memory_parameters() == [Parameter("shm_pages_to_scan", ParameterType.UINT, 100)]


@pytest.mark.parametrize(
    "wanted",
    [{"virtualization": "kvm"}, {"architecture": "s390x"}, {"machine": "pc"}, {"emulator": "/usr/bin/other"}],
    ids=["type", "arch", "machine", "emulator"],
)
def test_capabilities_of_domains_that_cannot_run_here_are_refused(host: HostNode, wanted: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError):
        host.domain_capabilities(**wanted)


@pytest.mark.parametrize("virtualization", [None, "lxc", "LXC"])
def test_the_most_processors_are_those_of_our_type_of_domain(host: HostNode, virtualization: str | None) -> None:
    assert host.maximum_vcpus(virtualization) == host.topology().present
    with pytest.raises(InvalidArgumentError, match="unknown type 'nonsense'"):
        host.maximum_vcpus("nonsense")


def test_the_emulator_is_the_one_that_definitions_are_given(host: HostNode) -> None:
    assert f"<emulator>{DEFAULT_EMULATOR}</emulator>" in host.capabilities()
    assert f"<path>{DEFAULT_EMULATOR}</path>" in host.domain_capabilities(emulator=str(DEFAULT_EMULATOR))


def test_capabilities_of_32_bit_domains_are_told(host: HostNode) -> None:
    assert "<arch>i686</arch>" in host.domain_capabilities(architecture="i686", virtualization="lxc")
