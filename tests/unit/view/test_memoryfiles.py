"""The texts about a guest's memory."""

from dataclasses import replace

from insula.view.memoryfiles import MeminfoLayout, VmstatLayout, swaps
from insula.view.memorymodel import MachineMemory

MIB = 1 << 20
MEMORY = MachineMemory(
    total=512 * MIB,
    used=200 * MIB,
    available=400 * MIB,
    cached=100 * MIB,
    shared=10 * MIB,
    swap_total=64 * MIB,
    swap_used=MIB,
    kinds={
        "anon": 60 * MIB,
        "file": 100 * MIB,
        "slab_reclaimable": 8 * MIB,
        "slab_unreclaimable": 4 * MIB,
        "pgfault": 1234,
        "active_file": 40 * MIB,
        "active_anon": 2 * MIB,
    },
)
HOST = """\
MemTotal:       24684092 kB
MemFree:        19852756 kB
MemAvailable:   23870764 kB
Buffers:           94664 kB
Cached:          3671052 kB
Active:           524608 kB
SwapTotal:       1000000 kB
SwapFree:         900000 kB
Slab:             618052 kB
SReclaimable:     568936 kB
Shmem:              8856 kB
VmallocTotal:   34359738367 kB
HugePages_Total:      17
Hugepagesize:       2048 kB
DirectMap1G:    25165824 kB
"""
GUEST = """\
MemTotal:         524288 kB
MemFree:          319488 kB
MemAvailable:     409600 kB
Buffers:               0 kB
Cached:           102400 kB
Active:            43008 kB
SwapTotal:         65536 kB
SwapFree:          64512 kB
Slab:              12288 kB
SReclaimable:       8192 kB
Shmem:             10240 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""


def test_meminfo_has_the_hosts_rows_with_the_guests_numbers() -> None:
    assert MeminfoLayout(HOST).text(MEMORY).decode() == GUEST


def test_a_nodes_meminfo_bears_its_number_and_tells_what_is_used() -> None:
    text = "Node 0 MemTotal:       24684092 kB\nNode 0 MemUsed:        4831336 kB\nNode 0 FilePages:      3765716 kB\n"
    assert MeminfoLayout(text, prefix="Node 0 ").text(MEMORY).decode() == (
        "Node 0 MemTotal:         524288 kB\nNode 0 MemUsed:          204800 kB\nNode 0 FilePages:        102400 kB\n"
    )


def test_swaps_are_one_line_for_all_that_may_be_used_or_none() -> None:
    head, line = swaps(MEMORY).decode().splitlines()
    assert head.split() == ["Filename", "Type", "Size", "Used", "Priority"]
    assert line.split() == ["none", "virtual", "65536", "1024", "0"]
    assert len(swaps(replace(MEMORY, swap_total=0, swap_used=0)).splitlines()) == 1


def test_vmstat_has_the_hosts_rows_in_pages_and_counts_of_the_group() -> None:
    layout = VmstatLayout(
        "nr_free_pages 9\nnuma_hit 77\nnr_file_pages 9\npgpgin 9\npgpgout 9\npgfault 9\noom_kill 9\n", 4096
    )
    text = layout.text(MEMORY, read=10 * MIB, written=3 * MIB, oom_kills=2).decode()
    assert text == (
        "nr_free_pages 79872\nnuma_hit 0\nnr_file_pages 25600\npgpgin 10240\npgpgout 3072\npgfault 1234\noom_kill 2\n"
    )
