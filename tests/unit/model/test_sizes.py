import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.model.sizes import CPU_MAX, Bytes, CpuSet, bytes_of, format_cpuset, kib_of, parse_cpuset, unit_factor


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("b", 1),
        ("bytes", 1),
        ("Byte", 1),
        ("k", 1024),
        ("KiB", 1024),
        ("kb", 1000),
        ("KB", 1000),
        ("M", 1024**2),
        ("MiB", 1024**2),
        ("MB", 1000**2),
        ("g", 1024**3),
        ("T", 1024**4),
        ("PiB", 1024**5),
        ("E", 1024**6),
        ("EB", 1000**6),
    ],
)
def test_units_are_read_as_libvirt_reads_them(unit: str, factor: int) -> None:
    assert unit_factor(unit) == factor


@pytest.mark.parametrize("unit", ["", "i", "kbit", "KiBs", "Z", "bb", " M"])
def test_what_is_no_unit_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="not a unit"):
        unit_factor(unit)


def test_a_size_beyond_64_bits_is_refused() -> None:
    assert bytes_of(15, "EiB") == 15 * 1024**6
    with pytest.raises(ValueError, match="64 bits"):
        bytes_of(16, "EiB")


@pytest.mark.parametrize(("size", "kib"), [(0, 0), (1, 1), (1024, 1), (1025, 2)])
def test_odd_bytes_round_up_to_whole_kib(size: int, kib: int) -> None:
    assert kib_of(Bytes(size)) == kib


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", {0}),
        ("0-3", {0, 1, 2, 3}),
        ("0-3,^2,8", {0, 1, 3, 8}),
        (" 1 , 3-4 ", {1, 3, 4}),
        ("^1,0-1", {0, 1}),  # a ^ takes away what stands before it, not after
        ("5-5", {5}),
    ],
)
def test_a_cpuset_is_read_from_left_to_right(text: str, numbers: set[int]) -> None:
    assert set(parse_cpuset(text)) == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1,,2", "^", "0,^0", "1;2", "0x1", f"{CPU_MAX + 1}"])
def test_what_is_no_cpuset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cpuset(text)


def test_a_huge_range_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(ValueError, match="largest number"):
        parse_cpuset("0-999999999")


def test_a_cpuset_is_written_in_its_shortest_form() -> None:
    assert format_cpuset({8, 0, 1, 3}) == "0-1,3,8"
    assert format_cpuset(()) == ""


@given(st.frozensets(st.integers(0, CPU_MAX), min_size=1, max_size=50))
def test_reading_a_written_cpuset_gives_the_same_numbers(numbers: frozenset[int]) -> None:
    assert parse_cpuset(format_cpuset(numbers)) == numbers


@given(st.sets(st.integers(0, CPU_MAX)), st.sets(st.integers(0, CPU_MAX)))
def test_a_cpuset_is_a_set(left: set[int], right: set[int]) -> None:
    a, b = CpuSet(left), CpuSet(right)
    assert list(a) == sorted(left) and len(a) == len(left)
    assert a == left and hash(a) == hash(CpuSet(sorted(left, reverse=True)))
    assert a & b == left & right and a | b == left | right and a - b == left - right
    assert (a == b) == (left == right)
    assert all((each in a) == (each in left) for each in (*right, -1, 0, CPU_MAX))


def test_thousands_of_large_cpusets_take_little_memory() -> None:
    sets = [parse_cpuset(f"0-{CPU_MAX - number}") for number in range(1000)]
    assert sum(each.mask.__sizeof__() for each in sets) < 4 * 1024 * 1024


def test_a_list_longer_than_any_set_needs_is_refused() -> None:
    every_second = format_cpuset(range(0, CPU_MAX, 2))
    assert len(parse_cpuset(every_second)) == (CPU_MAX + 1) // 2
    with pytest.raises(ValueError, match="more than"):
        parse_cpuset("0-16000," * 20_000 + "1")
