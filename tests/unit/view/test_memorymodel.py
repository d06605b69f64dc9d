"""What memory a guest has: consistent whatever its group says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.memorymodel import MachineMemory, MemoryReading, WholeMemory, machine_memory, v1_reading
from tests.examples import FEW, examples

GIB = 1 << 30
HOST = WholeMemory(total=64 * GIB, free=10 * GIB, available=40 * GIB, swap_total=8 * GIB, swap_free=6 * GIB)
BYTES = st.integers(min_value=0, max_value=128 * GIB)
LIMITS = st.none() | BYTES
KINDS = st.dictionaries(
    st.sampled_from(["file", "anon", "shmem", "active_file", "inactive_file", "slab_reclaimable", "active_anon"]), BYTES
)
READINGS = st.builds(MemoryReading, limit=LIMITS, usage=BYTES, swap_limit=LIMITS, swap=BYTES, kinds=KINDS)


@settings(max_examples=examples(FEW))
@given(READINGS)
def test_no_part_is_below_zero_or_above_the_whole(reading: MemoryReading) -> None:
    memory = machine_memory(reading, HOST)
    for part in (memory.used, memory.free, memory.available, memory.cached):
        assert 0 <= part <= memory.total <= HOST.total
    assert memory.free + memory.cached <= memory.total
    assert memory.shared <= memory.cached
    assert 0 <= memory.swap_used <= memory.swap_total <= HOST.swap_total
    assert memory.swap_free <= HOST.swap_free


@settings(max_examples=examples(FEW))
@given(READINGS)
def test_what_a_limited_guest_can_have_is_at_least_what_is_free(reading: MemoryReading) -> None:
    memory = machine_memory(reading, HOST)
    if reading.limit is not None and reading.limit < HOST.total:
        assert memory.total == reading.limit
        assert memory.available >= memory.free


def test_without_a_limit_it_is_the_hosts() -> None:
    for limit in (None, HOST.total, HOST.total * 4):
        memory = machine_memory(MemoryReading(limit=limit, usage=GIB, swap_limit=None, kinds={}), HOST)
        assert (memory.total, memory.free, memory.available) == (HOST.total, HOST.free, HOST.available)
        assert (memory.swap_total, memory.swap_free) == (HOST.swap_total, HOST.swap_free)


def limited(limit: int, usage: int, **kinds: int) -> MachineMemory:
    return machine_memory(MemoryReading(limit=limit, usage=usage, kinds=kinds), HOST)


def test_caches_of_files_can_be_had_back() -> None:
    memory = limited(GIB, GIB // 2, file=300 << 20, active_file=100 << 20, inactive_file=150 << 20)
    assert memory.free == GIB // 2
    assert memory.available == GIB // 2 + (250 << 20)


def test_a_limit_below_what_is_in_use_leaves_nothing_free() -> None:
    memory = limited(GIB, 2 * GIB, file=2 * GIB)
    assert (memory.total, memory.used, memory.free, memory.cached) == (GIB, GIB, 0, GIB)


V1 = {
    "cache": 1,
    "total_cache": 4096,
    "total_rss": 8192,
    "total_swap": 12288,
    "total_pgpgin": 777,
    "hierarchical_memory_limit": GIB,
    "hierarchical_memsw_limit": GIB + 4096,
}


def test_v1_counts_all_groups_below_and_swap_is_the_difference_of_both_limits() -> None:
    reading = v1_reading(V1, usage=16384, kernel=4000)
    assert (reading.limit, reading.usage, reading.swap_limit, reading.swap) == (GIB, 16384, 4096, 12288)
    assert reading.kinds == {"file": 4096, "anon": 8192, "slab_unreclaimable": 4000}


def test_v1_without_swap_accounting_has_no_swap() -> None:
    without = {name: value for name, value in V1.items() if name != "hierarchical_memsw_limit"}
    assert v1_reading(without, usage=0, kernel=0).swap_limit == 0


def test_v1_says_its_largest_number_where_there_is_no_limit() -> None:
    none = V1 | {"hierarchical_memory_limit": 2**63 - 4096, "hierarchical_memsw_limit": 2**63 - 4096}
    assert (v1_reading(none, usage=0, kernel=0).limit, v1_reading(none, usage=0, kernel=0).swap_limit) == (None, None)


def test_a_sum_below_the_memory_alone_is_no_negative_swap() -> None:
    odd = V1 | {"hierarchical_memsw_limit": GIB - 4096}
    assert v1_reading(odd, usage=0, kernel=0).swap_limit == 0
