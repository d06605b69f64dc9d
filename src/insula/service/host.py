"""The host, as libvirt's node calls describe it. Everything is read when asked for; nothing waits."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from insula.engine.securitymodule import security_model
from insula.errors import InvalidArgumentError
from insula.kernel.meminfo import read_meminfo
from insula.model.devices import DEFAULT_EMULATOR
from insula.model.numbers import ParameterType
from insula.service.capabilitiesxml import DOMAIN_TYPE, capabilities_xml, domain_capabilities_xml, guest_architectures
from insula.service.parameters import Parameter
from insula.service.sysinfo import host_uuid, sysinfo_xml
from insula.service.topology import (
    CPU_DIRECTORY,
    NODE_DIRECTORY,
    USUAL_PAGE,
    Topology,
    huge_page_directory,
    read_numbers,
    read_topology,
)

NANOSECONDS_A_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
ALL = -1
"""The number that means every processor, or every node."""

KSM_PARAMETERS: tuple[tuple[str, str, ParameterType], ...] = (
    ("shm_pages_to_scan", "pages_to_scan", ParameterType.UINT),
    ("shm_sleep_millisecs", "sleep_millisecs", ParameterType.UINT),
    ("shm_pages_shared", "pages_shared", ParameterType.ULLONG),
    ("shm_pages_sharing", "pages_sharing", ParameterType.ULLONG),
    ("shm_pages_unshared", "pages_unshared", ParameterType.ULLONG),
    ("shm_pages_volatile", "pages_volatile", ParameterType.ULLONG),
    ("shm_full_scans", "full_scans", ParameterType.ULLONG),
    ("shm_merge_across_nodes", "merge_across_nodes", ParameterType.UINT),
)
"""libvirt's name, the kernel's file below /sys/kernel/mm/ksm, the type. Source: virNodeGetMemoryParameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """memory: KiB; cpus: online ones; sockets are counted a node, cores a socket, threads a core."""

    model: str
    memory: int
    cpus: int
    mhz: int
    nodes: int
    sockets: int
    cores: int
    threads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuMap:
    """present: processors the host has, numbered from 0; online: those that run."""

    present: int
    online: frozenset[int]


class SecurityModel(NamedTuple):
    """Which kind of security labels the host has, and its domain of interpretation."""

    model: str = "none"
    doi: str = "0"


class HostNode:
    """One host. root: its `/` (tests give another); emulator: the path said to run the domains."""

    def __init__(
        self, *, root: Path = Path("/"), emulator: str = str(DEFAULT_EMULATOR), system: os.uname_result | None = None
    ) -> None:
        self._root = root
        self._emulator = emulator
        self._system = system if system is not None else os.uname()
        self._topology: Topology | None = None
        self._uuid: UUID | None = None

    @property
    def uuid(self) -> UUID:
        """The firmware's identity of the machine, else the system's machine id."""
        if self._uuid is None:
            self._uuid = host_uuid(self._root)
        return self._uuid

    def hostname(self) -> str:
        return os.uname().nodename

    def version(self) -> int:
        """The kernel's version in libvirt's coding, 6.1.20 as 6001020: what its LXC driver calls the hypervisor's."""
        numbers = [0, 0, 0]
        for place, part in enumerate(self._system.release.split("-")[0].split(".")[:3]):
            digits = part[: len(part) - len(part.lstrip("0123456789"))]
            numbers[place] = int(digits or 0)
        return numbers[0] * 1_000_000 + numbers[1] * 1_000 + numbers[2]

    def architectures(self) -> tuple[str, ...]:
        """Return those of programs that run here, as `uname -m` spells them; the host's own first."""
        return tuple(name for name, _ in guest_architectures(self._system.machine))

    def capabilities(self) -> str:
        """Return libvirt's capabilities XML."""
        return capabilities_xml(
            uuid=self.uuid,
            machine=self._system.machine,
            topology=self.topology(),
            security=self.security_model(),
            emulator=self._emulator,
        )

    def domain_capabilities(
        self,
        *,
        emulator: str | None = None,
        architecture: str | None = None,
        machine: str | None = None,
        virtualization: str | None = None,
    ) -> str:
        """Return libvirt's domain capabilities XML for a kind of domain; None stands for what this host has.

        Raises: InvalidArgumentError for an emulator, architecture, machine or type of domain that is not there.
        """
        if emulator not in (None, self._emulator):
            raise InvalidArgumentError(f"unknown emulator binary: {emulator}; this host has '{self._emulator}'")
        if virtualization not in (None, DOMAIN_TYPE):
            raise InvalidArgumentError(f"unknown virttype: {virtualization}; this host runs '{DOMAIN_TYPE}'")
        if machine is not None:
            raise InvalidArgumentError(f"the machine '{machine}' is not supported: containers have none")
        known = self.architectures()
        if architecture is not None and architecture not in known:
            raise InvalidArgumentError(f"architecture '{architecture}' cannot run here, only {', '.join(known)}")
        return domain_capabilities_xml(
            architecture=architecture or known[0],
            emulator=self._emulator,
            maximum_vcpus=self.maximum_vcpus(),
        )

    def sysinfo(self) -> str:
        """Return libvirt's sysinfo XML: what the firmware's tables and /proc/cpuinfo tell."""
        return sysinfo_xml(self._root)

    def topology(self) -> Topology:
        """Return processors and nodes; read again only when processors came or went."""
        online = read_numbers(self._root / CPU_DIRECTORY / "online")
        if self._topology is None or self._topology.online != online:
            self._topology = read_topology(self._root)
        return self._topology

    def node_info(self) -> Hardware:
        topology = self.topology()
        nodes, sockets, cores, threads = topology.shape()
        return Hardware(
            model=self._system.machine,
            memory=self._meminfo()["MemTotal"],
            cpus=len(topology.online),
            mhz=self._mhz(),
            nodes=nodes,
            sockets=sockets,
            cores=cores,
            threads=threads,
        )

    def cpu_map(self) -> CpuMap:
        topology = self.topology()
        return CpuMap(present=topology.present, online=topology.online)

    def maximum_vcpus(self, virtualization: str | None = None) -> int:
        """Return how many processors a domain may be given: all there are.

        virtualization: the type of domain, in any case; None: ours. Raises: InvalidArgumentError for another one.
        """
        if virtualization is not None and virtualization.lower() != DOMAIN_TYPE:
            raise InvalidArgumentError(f"unknown type '{virtualization}'; this host runs '{DOMAIN_TYPE}'")
        return self.topology().present

    def cpu_stats(self, cpu: int = ALL) -> dict[str, int]:
        """Return what a processor, or all together, did since boot, in nanoseconds.

        Raises: InvalidArgumentError for a processor that is not online.
        """
        wanted = "cpu" if cpu == ALL else f"cpu{cpu}"
        for line in (self._root / "proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name == wanted:
                user, nice, system, idle, iowait, irq, softirq = (int(each) for each in fields[:7])
                ticks = {"kernel": system + irq + softirq, "user": user + nice, "idle": idle, "iowait": iowait}
                return {key: value * NANOSECONDS_A_TICK for key, value in ticks.items()}
        raise InvalidArgumentError(f"there is no processor {cpu}; see the cpu map for those online")

    def memory_stats(self, cell: int = ALL) -> dict[str, int]:
        """Return the memory of a node, or of the host, in KiB. Raises: InvalidArgumentError for an unknown node."""
        if cell == ALL:
            values = self._meminfo()
            keys = {"total": "MemTotal", "free": "MemFree", "buffers": "Buffers", "cached": "Cached"}
        else:
            values = self._cell_meminfo(cell)
            keys = {"total": "MemTotal", "free": "MemFree"}
        return {key: values[name] for key, name in keys.items()}

    def free_memory(self) -> int:
        """Return the free memory of the host in bytes."""
        return self._meminfo()["MemFree"] * 1024

    def cells_free_memory(self, start: int, count: int) -> list[int]:
        """Return the free bytes of count nodes from start on; fewer when there are fewer.

        Raises: InvalidArgumentError when start is beyond the last node.
        """
        return [self._cell_meminfo(number)["MemFree"] * 1024 for number in self._cell_range(start, count)]

    def free_pages(self, sizes: list[int], start: int, count: int) -> list[int]:
        """Return, node by node, how many pages of each size (KiB) are free. start: ALL for the host as one.

        Raises: InvalidArgumentError for a page size or a node that the host does not have.
        """
        if start == ALL:
            return [self._free_pages(ALL, size) for size in sizes]
        return [self._free_pages(cell, size) for cell in self._cell_range(start, count) for size in sizes]

    def security_model(self) -> SecurityModel:
        """Return which security labels domains can have: those of the module that confines guests here."""
        return SecurityModel(model=security_model())

    def memory_parameters(self) -> list[Parameter]:
        """Return the settings and counters of the kernel's same-page merging; empty where the kernel has none."""
        directory = self._root / "sys/kernel/mm/ksm"
        return [
            Parameter(name, kind, int((directory / file).read_text()))
            for name, file, kind in KSM_PARAMETERS
            if (directory / file).exists()
        ]

    def _meminfo(self) -> dict[str, int]:
        return read_meminfo(self._root / "proc/meminfo")

    def _cell_meminfo(self, cell: int) -> dict[str, int]:
        self._check_cell(cell)
        path = self._root / NODE_DIRECTORY / f"node{cell}" / "meminfo"
        return read_meminfo(path) if path.exists() else self._meminfo()

    def _check_cell(self, cell: int) -> None:
        numbers = [each.number for each in self.topology().cells]
        if cell not in numbers:
            raise InvalidArgumentError(f"there is no memory node {cell}; the last is {max(numbers)}")

    def _cell_range(self, start: int, count: int) -> list[int]:
        numbers = sorted(each.number for each in self.topology().cells)
        if start < 0 or start > numbers[-1]:
            raise InvalidArgumentError(f"start cell {start} out of range (0-{numbers[-1]})")
        return [number for number in numbers if start <= number < start + count]

    def _free_pages(self, cell: int, size: int) -> int:
        if size == USUAL_PAGE:
            return (self._meminfo() if cell == ALL else self._cell_meminfo(cell))["MemFree"] // USUAL_PAGE
        whole = self._root / "sys/kernel/mm/hugepages"
        directory = whole if cell == ALL else self._root / NODE_DIRECTORY / f"node{cell}" / "hugepages"
        path = directory / huge_page_directory(size) / "free_hugepages"
        if not path.exists():
            raise InvalidArgumentError(f"the host has no pages of {size} KiB")
        return int(path.read_text())

    def _mhz(self) -> int:
        """The first processor's present frequency; 0 where /proc/cpuinfo tells none, as on ARM."""
        for line in (self._root / "proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "cpu MHz":
                return int(float(value))
        return 0
