"""Numbers of paths: the same in every process, and no more of them than there are paths."""

import pytest

from insula.view.nodenumbers import NodeNumbers, numbered
from tests.viewtrees import SmallTree, viewed_guest


def test_a_number_follows_from_the_path_in_any_process() -> None:
    assert numbered("proc/meminfo") == NodeNumbers().number("proc/meminfo")
    assert numbered("a") == 0xAF63DC4C8601EC8C  # a test vector of FNV-1a


def test_a_number_that_nobody_here_gave_out_is_found_by_walking() -> None:
    numbers, tree = NodeNumbers(), SmallTree(viewed_guest())
    assert numbers.path(numbered("sys/devices/system/cpu/online"), tree) == "sys/devices/system/cpu/online"
    assert numbers.path(1, tree) == ""


def test_a_number_of_nothing_is_missing() -> None:
    with pytest.raises(FileNotFoundError):
        NodeNumbers().path(12345, SmallTree(viewed_guest()))


def test_two_paths_of_one_number_are_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.view.nodenumbers.numbered", lambda path: 77)
    numbers = NodeNumbers()
    numbers.number("a")
    with pytest.raises(RuntimeError, match="same number"):
        numbers.number("b")
