"""/proc/diskstats of a guest: what it has read of and written to block devices, by its control group.

Only devices that it has used are there. On v1 kernels from 6.10 on count a device only once some group had a limit on
it. What is counted for no group (merges, times, requests on their way) is 0. Source: kernel document
`admin-guide/iostats`.
"""

from collections.abc import Callable, Iterable

from insula.kernel.cgroups.stats import DeviceUse

_SECTOR = 512
_REST = " 0 0 0 0 0 0 0 0 0"
"""Requests on their way, times of work, discards and flushes."""


def diskstats(devices: Iterable[DeviceUse], name: Callable[[str], str | None]) -> bytes:
    """Return the text. name: of a device, by its numbers `major:minor`; those without one are left out."""
    rows: list[str] = []
    for each in sorted(devices, key=lambda device: (device.major, device.minor)):
        called = name(f"{each.major}:{each.minor}")
        if called is not None:
            read = f"{each.read_operations} 0 {each.read_bytes // _SECTOR} 0"
            written = f"{each.write_operations} 0 {each.write_bytes // _SECTOR} 0"
            rows.append(f"{each.major:4d} {each.minor:7d} {called} {read} {written}{_REST}\n")
    return "".join(rows).encode()
