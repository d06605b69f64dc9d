"""Being woken when somebody is killed for want of memory, by v2 groups' files; v1's need the kernel (tests/system)."""

from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.cgroups.oomnotices import OomNotices


@pytest.fixture
def groups(tmp_path: Path) -> list[Cgroup]:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memory.events").write_text("oom_kill 0\n")
        found.append(Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=("memory",)), name))
    return found


def kill(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "memory.events").write_text("oom_kill 1\n")


def test_the_group_that_something_happened_in_is_told_once(tmp_path: Path, groups: list[Cgroup]) -> None:
    notices = OomNotices[int]()
    for key, group in enumerate(groups):
        notices.watch(key, group)
    assert notices.take() == set()
    kill(tmp_path, "two")
    assert notices.take() == {1}
    assert notices.take() == set()
    notices.close()


def test_a_group_that_is_forgotten_is_told_no_more_even_if_it_has_gone(tmp_path: Path, groups: list[Cgroup]) -> None:
    notices = OomNotices[int]()
    for key, group in enumerate(groups):
        notices.watch(key, group)
    notices.forget(0)
    kill(tmp_path, "one")
    (tmp_path / "two" / "memory.events").unlink()
    notices.forget(1)
    notices.forget(1)
    assert notices.take() == set()
    notices.close()


def test_a_group_that_is_not_there_is_refused(groups: list[Cgroup]) -> None:
    notices = OomNotices[int]()
    with pytest.raises(OSError, match="none"):
        notices.watch(0, Cgroup(groups[0].hierarchies, "none"))
    notices.close()
