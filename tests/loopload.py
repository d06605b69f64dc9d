"""What a running daemon spent: processor time of its event loop, and the most memory it ever had.

Processor time, because it does not depend on what else the machine is doing meanwhile.
"""

from pathlib import Path


def loop_seconds(pid: int) -> float:
    """Return the processor time that the main thread, the event loop's, has used. Source: proc(5), schedstat."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def peak_memory(pid: int) -> int:
    """Return the most resident memory, bytes, since it was last forgotten."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak_memory(pid: int) -> None:
    """Begin to measure the most memory anew. Source: proc(5), clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
