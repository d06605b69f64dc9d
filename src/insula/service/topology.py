"""The host's processors and memory nodes, as the kernel's sysfs describes them."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from insula.errors import InternalError
from insula.kernel.meminfo import read_meminfo
from insula.model.sizes import parse_cpuset

CPU_DIRECTORY = "sys/devices/system/cpu"
NODE_DIRECTORY = "sys/devices/system/node"
USUAL_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024
"""The size of a page that is not huge, in KiB."""
NEAR, FAR = 10, 20
"""Distances of a node to itself and to others where the kernel tells none (ACPI's SLIT scale)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """One processor that is online. siblings: the processors of its core, itself included."""

    number: int
    node: int
    socket: int
    die: int
    core: int
    siblings: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PagePool:
    """Pages of one size (KiB) of a node."""

    size: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A NUMA node. memory: KiB; distances: by node number."""

    number: int
    memory: int
    pages: tuple[PagePool, ...]
    distances: tuple[tuple[int, int], ...]
    cpus: tuple[Cpu, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """What there is. present: how many processors the host has, offline ones included."""

    cells: tuple[Cell, ...]
    present: int
    online: frozenset[int]

    @property
    def cpus(self) -> tuple[Cpu, ...]:
        return tuple(cpu for cell in self.cells for cpu in cell.cpus)

    def shape(self) -> tuple[int, int, int, int]:
        """Return (nodes, sockets a node, cores a socket, threads a core).

        The product is the number of processors present; where the host is too uneven for that, it is (1, 1, all, 1), as
        libvirt says it.
        """
        sockets: dict[int, set[int]] = defaultdict(set)
        cores: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for cpu in self.cpus:
            sockets[cpu.node].add(cpu.socket)
            cores[cpu.node, cpu.socket].add((cpu.die, cpu.core))
        shape = (
            max(1, len(sockets)),
            max((len(each) for each in sockets.values()), default=1),
            max((len(each) for each in cores.values()), default=1),
            max((len(cpu.siblings) for cpu in self.cpus), default=1),
        )
        product = shape[0] * shape[1] * shape[2] * shape[3]
        return shape if product == self.present else (1, 1, self.present, 1)


def read_topology(root: Path) -> Topology:
    """Return the topology described below root, a host's `/`. Raises: InternalError without a sysfs of processors."""
    online = read_numbers(root / CPU_DIRECTORY / "online")
    if not online:
        raise InternalError(f"'{root / CPU_DIRECTORY}' does not tell which processors are online; is /sys mounted")
    present = read_numbers(root / CPU_DIRECTORY / "present") or online
    nodes = sorted(read_numbers(root / NODE_DIRECTORY / "online"))
    cells = [_cell(root, node, nodes, online) for node in nodes] or [_only_cell(root, online)]
    return Topology(cells=tuple(cells), present=max(present) + 1, online=online)


def read_numbers(path: Path) -> frozenset[int]:
    """Return the numbers of a kernel list such as `0-3,8`; none when the file is missing or empty."""
    text = _text(path)
    return frozenset(parse_cpuset(text)) if text else frozenset()


def _cell(root: Path, node: int, nodes: list[int], online: frozenset[int]) -> Cell:
    directory = root / NODE_DIRECTORY / f"node{node}"
    memory = read_meminfo(directory / "meminfo")["MemTotal"]
    distances = [int(each) for each in _text(directory / "distance").split()]
    if len(distances) != len(nodes):
        distances = [NEAR if each == node else FAR for each in nodes]
    return Cell(
        number=node,
        memory=memory,
        pages=_pools(directory / "hugepages", memory),
        distances=tuple(zip(nodes, distances, strict=True)),
        cpus=tuple(_cpu(root, number, node) for number in sorted(read_numbers(directory / "cpulist") & online)),
    )


def _only_cell(root: Path, online: frozenset[int]) -> Cell:
    """A kernel without NUMA: everything is one node."""
    memory = read_meminfo(root / "proc/meminfo")["MemTotal"]
    return Cell(
        number=0,
        memory=memory,
        pages=_pools(root / "sys/kernel/mm/hugepages", memory),
        distances=((0, NEAR),),
        cpus=tuple(_cpu(root, number, 0) for number in sorted(online)),
    )


def _pools(directory: Path, memory: int) -> tuple[PagePool, ...]:
    """The page sizes of a node, the usual one first; what huge pages take is not counted among the usual ones."""
    huge = [
        PagePool(size=size, total=_number(directory / huge_page_directory(size) / "nr_hugepages"))
        for size in huge_page_sizes(directory)
    ]
    taken = sum(each.size * each.total for each in huge)
    return (PagePool(size=USUAL_PAGE, total=(memory - taken) // USUAL_PAGE), *huge)


def huge_page_sizes(directory: Path) -> list[int]:
    """Return the sizes (KiB) that a kernel directory `hugepages` has pools of, the smallest first."""
    names = [each.name for each in directory.iterdir()] if directory.is_dir() else []
    return sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)


def huge_page_directory(size: int) -> str:
    return f"hugepages-{size}kB"


def _cpu(root: Path, number: int, node: int) -> Cpu:
    topology = root / CPU_DIRECTORY / f"cpu{number}" / "topology"
    return Cpu(
        number=number,
        node=node,
        socket=_number(topology / "physical_package_id"),
        die=_number(topology / "die_id"),
        core=_number(topology / "core_id", default=number),
        siblings=read_numbers(topology / "thread_siblings_list") or frozenset({number}),
    )


def _number(path: Path, default: int = 0) -> int:
    """The number in a file; the default when it is missing or negative, which is how the kernel says unknown."""
    text = _text(path)
    return int(text) if text and int(text) >= 0 else default


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
