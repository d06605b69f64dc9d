"""/proc/diskstats of a guest."""

from insula.kernel.cgroups.stats import DeviceUse
from insula.view.blockfiles import diskstats


def test_devices_that_it_has_used_are_told_in_sectors_by_their_names() -> None:
    devices = (
        DeviceUse(major=254, minor=16, read_bytes=1024, read_operations=1),
        DeviceUse(major=8, minor=0, read_bytes=4096, write_bytes=512, read_operations=3, write_operations=1),
        DeviceUse(major=9, minor=9),
    )
    names = {"254:16": "vdb", "8:0": "sda"}
    assert diskstats(devices, names.get).decode() == (
        "   8       0 sda 3 0 8 0 1 0 1 0 0 0 0 0 0 0 0 0 0\n 254      16 vdb 1 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )


def test_a_guest_that_has_used_none_reads_an_empty_file() -> None:
    assert diskstats((), lambda number: "vda") == b""
