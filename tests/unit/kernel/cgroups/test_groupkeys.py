"""Control files of one group by their names."""

import errno
from pathlib import Path

import pytest

from insula.kernel.cgroups import Hierarchies, V1Hierarchy
from insula.kernel.cgroups.groupkeys import GroupKeys, controller_of, is_limit


@pytest.fixture
def keys(tmp_path: Path) -> GroupKeys:
    """A group of a hybrid host: memory is v1's."""
    for mount in ("v2", "memory"):
        (tmp_path / mount / "web.scope").mkdir(parents=True)
    (tmp_path / "memory" / "memory.swappiness").write_text("60\n")
    (tmp_path / "memory" / "web.scope" / "memory.swappiness").write_text("10\n")
    (tmp_path / "v2" / "web.scope" / "hugetlb.2MB.max").write_text("max\n")
    old = V1Hierarchy(mount=str(tmp_path / "memory"), controllers=("memory",))
    return GroupKeys(Hierarchies(v1=(old,), v2=str(tmp_path / "v2"), v2_controllers=("hugetlb",)), "web.scope")


def test_a_file_is_looked_for_where_its_controller_is(keys: GroupKeys) -> None:
    assert keys.read("memory.swappiness") == "10"
    assert keys.read("hugetlb.2MB.max") == "max"
    assert (keys.is_old("memory"), keys.is_old("hugetlb")) == (True, False)
    with pytest.raises(OSError, match="no such control file") as refusal:
        keys.read("memory.oom.group")
    assert refusal.value.errno == errno.EOPNOTSUPP


def test_what_v1_hands_down_is_taken_away_by_what_is_above(keys: GroupKeys, tmp_path: Path) -> None:
    keys.write("memory.swappiness", "20")
    assert keys.read("memory.swappiness") == "20"
    keys.write("memory.swappiness", None)
    assert keys.read("memory.swappiness") == "60"


def test_what_a_fresh_group_says_nothing_of_cannot_be_taken_away(
    keys: GroupKeys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("insula.kernel.cgroups.files.read", lambda path: "" if "insula.fresh" in path else "x")
    with pytest.raises(OSError, match="no value takes away"):
        keys.write("hugetlb.2MB.max", None)
    assert not (tmp_path / "v2" / "web.scope" / "insula.fresh").exists()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "memory",
        "../memory.max",
        "memory.max/..",
        "memory/../../memory.max",
        "memory.max\n",
        ".procs",
        "a." + "x" * 200,
    ],
)
def test_what_names_no_file_of_the_group_is_refused(keys: GroupKeys, key: str) -> None:
    assert not is_limit(key)
    with pytest.raises(OSError, match="names no control file") as refusal:
        keys.read(key)
    assert refusal.value.errno == errno.EINVAL


@pytest.mark.parametrize("key", ["cgroup.procs", "cgroup.kill", "devices.allow", "freezer.state"])
def test_what_is_no_limit_is_not_written(keys: GroupKeys, key: str) -> None:
    with pytest.raises(OSError, match="no control file of a limit"):
        keys.write(key, "1")


def test_a_key_begins_with_its_controller() -> None:
    assert controller_of("hugetlb.2MB.max") == "hugetlb"


def test_a_host_without_any_hierarchy_has_none() -> None:
    with pytest.raises(OSError, match="no such controller"):
        GroupKeys(Hierarchies(), "web.scope").read("memory.max")
