"""/sys/devices/system/cpu and /sys/devices/system/node of a guest: the host's own, of its processors and nodes only.

Directories of other processors are not there, lists and masks of processors name the guest's, and what only root may
read on the host is left out, as is what tells how busy the host is. `possible`, `present` and `online` say the same, so
`nproc --all` counts what `nproc` does; numbers stay the host's, so that whoever keeps a row for each up to the highest
has room for what getcpu(2) says.
Sources: kernel documents `ABI/testing/sysfs-devices-system-cpu` and `ABI/stable/sysfs-devices-node`.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence

from insula.view.processorlists import Processors, kept_in_list, kept_in_mask, list_text
from insula.view.viewedfiles import ViewedKind, missing

_NUMBERED = re.compile(r"(cpu|policy|node)(\d+)")
_LISTS = re.compile(r"(.*_list|cpulist|related_cpus|affected_cpus|freqdomain_cpus)")
_MASKS = re.compile(r"(.*_siblings|.*_cpus|shared_cpu_map|cpumap)")
_MOST = 1 << 16

_CPU_FILES: Mapping[str, Callable[[str], str]] = {
    "online": lambda own: own,
    "present": lambda own: own,
    "possible": lambda own: own,
    "enabled": lambda own: own,
    "offline": lambda own: "",
}
_TOP_FILES = frozenset({*_CPU_FILES, "cpufreq", "isolated", "kernel_max", "modalias", "nohz_full", "smt", "uevent"})
_TOP_FILES |= {"vulnerabilities"}
_CPU_ENTRIES = frozenset({"acpi_cppc", "cache", "cpu_capacity", "cpufreq", "online", "regs", "subsystem", "topology"})
_CPU_ENTRIES |= {"uevent"}
"""What else is there tells how busy the host is, or is for its administrator."""
_NODE_FILES = frozenset({"cpulist", "cpumap", "distance", "meminfo", "numastat", "vmstat", "uevent", "subsystem"})
_BUSY = frozenset({"stats", "time_in_state"})
"""Of cpufreq."""
_BELOW = {"cpu": _CPU_ENTRIES, "node": _NODE_FILES}
_OWN_NODES = frozenset(
    {
        "online",
        "possible",
        "has_cpu",
        "has_memory",
        "has_normal_memory",
        "has_generic_initiator",
        "has_high_memory",
        "uevent",
    }
)
_ZEROED = frozenset({"numastat", "vmstat"})
"""Files of a node whose counts are the host's."""


class HardwareTree:
    """One of both directories. Paths are relative to it, "" is itself."""

    def __init__(
        self,
        top: str,
        processors: Callable[[], Processors],
        nodes: Callable[[], Processors],
        node_meminfo: Callable[[int], bytes] | None = None,
    ) -> None:
        """top: the host's; processors, nodes: the guest's, at any moment; node_meminfo: what a node's meminfo says,
        for the directory of nodes, None for that of processors."""
        self._top = top
        self._processors = processors
        self._nodes = nodes
        self._node_meminfo = node_meminfo
        self._shown = _TOP_FILES if node_meminfo is None else _OWN_NODES

    def _hidden(self, path: str) -> bool:
        words = path.split("/") if path else []
        for depth, name in enumerate(words):
            found = _NUMBERED.fullmatch(name)
            if found is not None:
                own = self._nodes() if found[1] == "node" else self._processors()
                if int(found[2]) not in own:
                    return True
                continue
            if name in _BUSY:
                return True
            shown = self._shown if depth == 0 else _BELOW.get(words[0].rstrip("0123456789")) if depth == 1 else None
            if shown is not None and name not in shown:
                return True
        return False

    def kind(self, path: str) -> ViewedKind | None:
        """Return what stands there, None for nothing."""
        if self._hidden(path):
            return None
        try:
            mode = os.lstat(f"{self._top}/{path}").st_mode
        except OSError:
            return None
        if stat.S_ISLNK(mode):
            return ViewedKind.LINK
        if stat.S_ISDIR(mode):
            return ViewedKind.DIRECTORY
        return ViewedKind.FILE if mode & stat.S_IROTH else None

    def names(self, path: str) -> Sequence[str]:
        """Return what is in a directory. Raises: OSError."""
        if self._hidden(path):
            raise missing(path)
        below = f"{path}/" if path else ""
        return [name for name in sorted(os.listdir(f"{self._top}/{path}")) if self.kind(f"{below}{name}") is not None]

    def target(self, path: str) -> str:
        """Return what a link leads to. Raises: OSError."""
        if self._hidden(path):
            raise missing(path)
        return os.readlink(f"{self._top}/{path}")

    def content(self, path: str) -> bytes:
        """Return what a file says. Raises: OSError."""
        if self.kind(path) is not ViewedKind.FILE:
            raise missing(path)
        if self._node_meminfo is None:
            return self._of_processors(path)
        return self._of_nodes(path, self._node_meminfo)

    def _read(self, path: str) -> bytes:
        fd = os.open(f"{self._top}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, _MOST)
        finally:
            os.close(fd)

    def _of_processors(self, path: str) -> bytes:
        if path in _CPU_FILES:
            return f"{_CPU_FILES[path](list_text(self._processors()))}\n".encode()
        text = self._read(path)
        if path in {"isolated", "nohz_full"}:
            return self._list(text)
        return self._filtered(path.rpartition("/")[2], text)

    def _of_nodes(self, path: str, meminfo: Callable[[int], bytes]) -> bytes:
        node, _, name = path.partition("/")
        if path in _OWN_NODES and path != "uevent":
            return f"{kept_in_list(self._read(path).decode(), self._nodes())}\n".encode()
        if name == "meminfo":
            return meminfo(int(node.removeprefix("node")))
        if name == "distance":
            return self._distances(self._read(path).decode())
        text = self._read(path)
        if name in _ZEROED:
            return b"".join(line.split()[0] + b" 0\n" for line in text.splitlines() if line.split())
        return self._filtered(name, text)

    def _distances(self, text: str) -> bytes:
        """A node tells its distance to each that is online, in their order."""
        online = [int(name[4:]) for name in os.listdir(self._top) if re.fullmatch(r"node\d+", name)]
        told = dict(zip(sorted(online), text.split(), strict=False))
        return (" ".join(told[each] for each in self._nodes() if each in told) + "\n").encode()

    def _filtered(self, name: str, text: bytes) -> bytes:
        if _LISTS.fullmatch(name) is not None:
            return self._list(text)
        if _MASKS.fullmatch(name) is not None:
            try:
                return f"{kept_in_mask(text.decode(), self._processors())}\n".encode()
            except ValueError:
                return text
        return text

    def _list(self, text: bytes) -> bytes:
        """Related and affected processors of cpufreq are parted by spaces."""
        words, own = text.decode().strip(), self._processors()
        if " " in words:
            return (" ".join(each for each in words.split() if int(each) in own) + "\n").encode()
        try:
            return f"{kept_in_list(words, own)}\n".encode()
        except ValueError:
            return text
