"""Limits that are a file of their own each."""

import errno
from pathlib import Path

import pytest

from insula.kernel.cgroups import UNLIMITED, Hierarchies, HugePageLimit, MiscLimit, V1Hierarchy, furtherlimits
from insula.kernel.cgroups.groupkeys import GroupKeys


@pytest.fixture(autouse=True)
def control_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control files have no rest of what was there before."""
    monkeypatch.setattr("insula.kernel.cgroups.files.write", _write)


def _write(path: str, value: str) -> None:
    assert Path(path).exists()
    Path(path).write_text(value)


def keys_of(tmp_path: Path, *, old: tuple[str, ...] = (), **texts: str) -> GroupKeys:
    """The group's files in one directory. texts: by their names, with `__` for a dot."""
    (tmp_path / "g").mkdir()
    for name, text in texts.items():
        (tmp_path / "g" / name.replace("__", ".")).write_text(text)
    v1 = (V1Hierarchy(mount=str(tmp_path), controllers=old),) if old else ()
    return GroupKeys(Hierarchies(v1=v1, v2=str(tmp_path)), "g")


def text(tmp_path: Path, name: str) -> str:
    return (tmp_path / "g" / name).read_text()


def test_a_number_is_written_under_the_name_of_the_hierarchy(tmp_path: Path) -> None:
    old = keys_of(tmp_path, old=("cpu",), cpu__cfs_burst_us="")
    furtherlimits.set_number(old, furtherlimits.BURST, 5000)
    assert text(tmp_path, "cpu.cfs_burst_us") == "5000"
    assert furtherlimits.number(old, furtherlimits.BURST) == 5000


def test_no_limit_is_the_kernels_word_for_it(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, memory__zswap__max="")
    furtherlimits.set_number(keys, furtherlimits.ZSWAP, UNLIMITED)
    assert text(tmp_path, "memory.zswap.max") == "max"
    assert furtherlimits.number(keys, furtherlimits.ZSWAP) is None


def test_what_v1_never_had_is_told_so(tmp_path: Path) -> None:
    old = keys_of(tmp_path, old=("memory",))
    with pytest.raises(OSError, match="cgroup v1 has no limit of zswap") as refusal:
        furtherlimits.set_number(old, furtherlimits.ZSWAP, 0)
    assert refusal.value.errno == errno.EOPNOTSUPP
    assert furtherlimits.number(old, furtherlimits.ZSWAP) is None
    with pytest.raises(OSError, match="cgroup v1 has no"):
        furtherlimits.demand(old, furtherlimits.ZSWAP_WRITEBACK)


@pytest.mark.parametrize(("size", "name"), [(65536, "64KB"), (2 << 20, "2MB"), (1 << 30, "1GB"), (16 << 30, "16GB")])
def test_sizes_of_pages_have_the_kernels_names(size: int, name: str) -> None:
    assert furtherlimits.page_name(size) == name


def test_huge_pages_are_limited_by_their_size(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, hugetlb__2MB__max="")
    furtherlimits.limit_huge_pages(keys, HugePageLimit(size=2 << 20, limit=4 << 20))
    assert text(tmp_path, "hugetlb.2MB.max") == str(4 << 20)
    assert furtherlimits.huge_pages(keys, 2 << 20) == 4 << 20
    furtherlimits.limit_huge_pages(keys, HugePageLimit(size=2 << 20, limit=UNLIMITED))
    assert text(tmp_path, "hugetlb.2MB.max") == "max"
    assert furtherlimits.huge_pages(keys, 2 << 20) is furtherlimits.huge_pages(keys, 1 << 30) is None


def test_v1_takes_a_limit_of_huge_pages_away_by_its_own_word(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, old=("hugetlb",), hugetlb__2MB__limit_in_bytes=str(2**63 - (2 << 20)))
    assert furtherlimits.huge_pages(keys, 2 << 20) is None
    furtherlimits.limit_huge_pages(keys, HugePageLimit(size=2 << 20, limit=UNLIMITED))
    assert text(tmp_path, "hugetlb.2MB.limit_in_bytes") == "-1"


def test_resources_of_the_misc_controller_are_limited_by_name(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, misc__max="sev 4\nsev_es max\n")
    assert furtherlimits.misc(keys) == (MiscLimit(name="sev", limit=4),)
    furtherlimits.limit_misc(keys, MiscLimit(name="sev_es", limit=UNLIMITED))
    assert text(tmp_path, "misc.max") == "sev_es max"


def test_the_hosts_sizes_of_pages_are_found(tmp_path: Path) -> None:
    for name in ("hugepages-1048576kB", "hugepages-2048kB"):
        (tmp_path / name).mkdir()
    assert furtherlimits.huge_page_sizes(str(tmp_path)) == (2 << 20, 1 << 30)
    assert furtherlimits.huge_page_sizes(str(tmp_path / "none")) == ()
