"""How much memory there is, as /proc/meminfo and each NUMA node's own have it: proc_meminfo(5)."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def read_meminfo(path: Path) -> dict[str, int]:
    """Return the values (KiB) of /proc/meminfo, or of a node's meminfo, whose lines begin with `Node N`."""
    values: dict[str, int] = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name.split()[-1]] = int(rest.split()[0])
    return values
