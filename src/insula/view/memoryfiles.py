"""/proc/meminfo, /proc/swaps and /proc/vmstat of a guest, and its memory nodes' meminfo, from one `MachineMemory`.

The rows and their order are those of the host's own files, so that a guest reads what this kernel says. Rows that are
accounted for no group are 0; those that are of the kernel or the processor stay.
Sources: proc_meminfo(5), proc_swaps(5), proc_vmstat(5).
"""

from collections.abc import Callable, Mapping

from insula.view.memorymodel import MachineMemory

_KIB = 1024
_PAGE = 4096
"""Bytes. What is counted in pages is counted in these where the host has others as well, see `VmstatLayout`."""
_OF_THE_KERNEL = frozenset({"VmallocTotal", "Hugepagesize"})
"""Rows that say how the kernel is built."""


def _values(memory: MachineMemory) -> dict[str, int]:
    """Return rows of meminfo, in bytes."""
    kinds = memory.kinds.get
    active, inactive = kinds("active_file", 0), kinds("inactive_file", 0)
    active_anonymous, inactive_anonymous = kinds("active_anon", 0), kinds("inactive_anon", 0)
    reclaimable, kept = kinds("slab_reclaimable", 0), kinds("slab_unreclaimable", 0)
    return {
        "MemTotal": memory.total,
        "MemFree": memory.free,
        "MemAvailable": memory.available,
        "Cached": memory.cached,
        "SwapCached": kinds("swapcached", 0),
        "Active": active + active_anonymous,
        "Inactive": inactive + inactive_anonymous,
        "Active(anon)": active_anonymous,
        "Inactive(anon)": inactive_anonymous,
        "Active(file)": active,
        "Inactive(file)": inactive,
        "Unevictable": kinds("unevictable", 0),
        "SwapTotal": memory.swap_total,
        "SwapFree": memory.swap_free,
        "Zswap": kinds("zswap", 0),
        "Zswapped": kinds("zswapped", 0),
        "Dirty": kinds("file_dirty", 0),
        "Writeback": kinds("file_writeback", 0),
        "AnonPages": kinds("anon", 0),
        "Mapped": kinds("file_mapped", 0),
        "Shmem": memory.shared,
        "KReclaimable": reclaimable,
        "Slab": reclaimable + kept,
        "SReclaimable": reclaimable,
        "SUnreclaim": kept,
        "KernelStack": kinds("kernel_stack", 0),
        "PageTables": kinds("pagetables", 0),
        "SecPageTables": kinds("sec_pagetables", 0),
        "CommitLimit": memory.total // 2 + memory.swap_total,
        "Committed_AS": kinds("anon", 0) + memory.shared + memory.swap_used,
        "VmallocUsed": kinds("vmalloc", 0),
        "Percpu": kinds("percpu", 0),
        "AnonHugePages": kinds("anon_thp", 0),
        "ShmemHugePages": kinds("shmem_thp", 0),
        "FileHugePages": kinds("file_thp", 0),
    }


class MeminfoLayout:
    """The rows of a meminfo, as some text of the host's has them."""

    def __init__(self, text: str, *, prefix: str = "") -> None:
        """prefix: what stands before each row, as `Node 0 ` does in a node's file."""
        known = _values(_NOTHING)
        pieces: list[str] = []
        self._names: list[str] = []
        for line in text.splitlines():
            name, _, rest = line.removeprefix(prefix).partition(":")
            number, _, unit = rest.strip().partition(" ")
            if name in _OMITTED or not number.isdigit():
                continue
            tail = f" {unit}" if unit else ""
            head = f"{prefix}{name}:".replace("%", "%%").ljust(len(prefix) + 16)
            if name in known or name in _OF_NODES:
                pieces.append(f"{head}%8d{tail}\n")
                self._names.append(name)
            else:
                value = int(number) if name in _OF_THE_KERNEL else 0
                pieces.append(f"{head}{value:>8}{tail}\n")
        self._form = "".join(pieces)

    def text(self, memory: MachineMemory) -> bytes:
        """Return what the guest reads."""
        values = _values(memory)
        for name, value in _OF_NODES.items():
            values[name] = value(memory)
        return (self._form % tuple(values[name] // _KIB for name in self._names)).encode()


_OMITTED = frozenset({"DirectMap4k", "DirectMap2M", "DirectMap4M", "DirectMap1G", "HardwareCorrupted"})
"""Rows about the host's own memory."""
_OF_NODES: Mapping[str, Callable[[MachineMemory], int]] = {
    "MemUsed": lambda memory: memory.used,
    "FilePages": lambda memory: memory.cached,
}
_NOTHING = MachineMemory(total=0, used=0, available=0, cached=0, shared=0, swap_total=0, swap_used=0, kinds={})


def swaps(memory: MachineMemory) -> bytes:
    """Return /proc/swaps: one line for all swap that the guest may use, which is of no device of its own. KiB."""
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    if not memory.swap_total:
        return head.encode()
    size, used = memory.swap_total // _KIB, memory.swap_used // _KIB
    return f"{head}{'none':<40}virtual\t\t{size}\t\t{used}\t\t0\n".encode()


_VMSTAT: Mapping[str, str] = {
    "nr_inactive_anon": "inactive_anon",
    "nr_active_anon": "active_anon",
    "nr_inactive_file": "inactive_file",
    "nr_active_file": "active_file",
    "nr_unevictable": "unevictable",
    "nr_anon_pages": "anon",
    "nr_mapped": "file_mapped",
    "nr_file_pages": "file",
    "nr_dirty": "file_dirty",
    "nr_writeback": "file_writeback",
    "nr_shmem": "shmem",
    "nr_swapcached": "swapcached",
    "nr_slab_reclaimable": "slab_reclaimable",
    "nr_slab_unreclaimable": "slab_unreclaimable",
    "nr_page_table_pages": "pagetables",
    "nr_zone_inactive_anon": "inactive_anon",
    "nr_zone_active_anon": "active_anon",
    "nr_zone_inactive_file": "inactive_file",
    "nr_zone_active_file": "active_file",
    "nr_zone_unevictable": "unevictable",
}
"""Rows in pages, and what memory.stat calls the same, in bytes."""
_COUNTS: Mapping[str, str] = {
    name: name
    for name in (
        "pgfault",
        "pgmajfault",
        "pswpin",
        "pswpout",
        "pgscan_kswapd",
        "pgscan_direct",
        "pgsteal_kswapd",
        "pgsteal_direct",
        "pgactivate",
        "pgdeactivate",
        "pglazyfree",
        "pgrefill",
        "workingset_refault_anon",
        "workingset_refault_file",
        "workingset_activate_anon",
        "workingset_activate_file",
        "thp_fault_alloc",
        "thp_collapse_alloc",
    )
}
"""Rows that memory.stat counts too."""


class VmstatLayout:
    """The rows of /proc/vmstat, as the host's text has them; page: bytes."""

    def __init__(self, text: str, page: int = _PAGE) -> None:
        self._page = page
        self._names = [line.split()[0] for line in text.splitlines() if len(line.split()) == 2]
        filled = {"nr_free_pages", "pgpgin", "pgpgout", "oom_kill", *_VMSTAT, *_COUNTS}
        self._form = "".join(f"{name} %d\n" if name in filled else f"{name} 0\n" for name in self._names)
        self._filled = [name for name in self._names if name in filled]

    def text(self, memory: MachineMemory, *, read: int, written: int, oom_kills: int) -> bytes:
        """Return what the guest reads. read, written: bytes of block devices."""
        kinds = memory.kinds
        values = {name: kinds.get(kind, 0) // self._page for name, kind in _VMSTAT.items()}
        values |= {name: kinds.get(kind, 0) for name, kind in _COUNTS.items()}
        values |= {
            "nr_free_pages": memory.free // self._page,
            "pgpgin": read // _KIB,
            "pgpgout": written // _KIB,
            "oom_kill": oom_kills,
        }
        return (self._form % tuple(values[name] for name in self._filled)).encode()
