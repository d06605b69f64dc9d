from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, labelled, set_label


@pytest.fixture
def hierarchies(tmp_path: Path) -> Hierarchies:
    for name in ("memory", "unified"):
        (tmp_path / name).mkdir()
    return Hierarchies(v1=(V1Hierarchy(mount=f"{tmp_path}/memory", controllers=("memory",)),), v2=f"{tmp_path}/unified")


def test_a_note_on_a_group_is_found_again(hierarchies: Hierarchies) -> None:
    groups = [Cgroup(hierarchies, f"a.slice/{name}") for name in ("noted", "bare")]
    for group in groups:
        for directory in group.directories:
            Path(directory).mkdir(parents=True)
    set_label(groups[0], "4711 99")
    assert labelled(hierarchies, "a.slice") == [(groups[0], "4711 99")]


def test_a_partition_that_is_not_there_has_no_groups(hierarchies: Hierarchies) -> None:
    assert labelled(hierarchies, "gone.slice") == []
