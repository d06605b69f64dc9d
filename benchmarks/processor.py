"""Processor time of the whole host: whoever worked for a verb, be it a daemon, a guest or the kernel's own threads."""

from pathlib import Path

_V1 = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")
_V2 = Path("/sys/fs/cgroup/cpu.stat")


def used() -> float:
    """Return milliseconds that all processors have worked since boot.

    What else the host does counts too, so figures are worth something on a quiet host only. Sources: the kernel's
    documents on cpuacct (nanoseconds of the root group) and cgroup v2 (`usage_usec`).
    """
    if _V1.exists():
        return int(_V1.read_text()) / 1e6
    for line in _V2.read_text().splitlines():
        if line.startswith("usage_usec "):
            return int(line.split()[1]) / 1e3
    raise RuntimeError("this host tells nothing of its processor time: mount cgroup v2, or v1's cpuacct")
