"""The verbs for files, as far as they need no guest; guests are in tests/system/test_guest_files.py."""

import os
from pathlib import Path

import pytest

from insula import Container
from insula.engine import fileverbs
from insula.engine.fileverbs import _replacement, _understood
from insula.errors import InvalidArgumentError, OperationInvalidError


def test_ways_to_open_are_those_that_go_from_one_end_to_the_other() -> None:
    assert [_understood(each) for each in ("r", "rt", "wb", "ab", "x")] == [
        ("r", False),
        ("r", False),
        ("w", True),
        ("a", True),
        ("x", False),
    ]
    for mode in ("", "r+", "rw", "rbt", "rr", "U"):
        with pytest.raises(InvalidArgumentError, match="no way to open a guest's file"):
            _understood(mode)


def test_what_does_not_run_has_no_files(tmp_path: Path) -> None:
    container = Container("/srv/web", name="web")
    (tmp_path / "file").touch()
    with pytest.raises(OperationInvalidError, match="'web' does not run"):
        container.open("/etc/passwd")
    with pytest.raises(OperationInvalidError, match="'web' does not run"):
        container.get("/etc/passwd", tmp_path)
    with pytest.raises(OperationInvalidError, match="'web' does not run"):
        container.put(tmp_path / "file", "/etc/file")
    with pytest.raises(InvalidArgumentError, match="no regular file"):
        container.put(os.devnull, "/etc/file")


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    goal = tmp_path / "goal"
    goal.write_text("before")
    with _replacement(str(goal)) as file:
        file.write(b"after")
        assert goal.read_text() == "before"
    assert goal.read_text() == "after"
    with pytest.raises(ValueError, match="broken"), _replacement(str(goal)):
        raise ValueError("broken")
    assert [each.name for each in tmp_path.iterdir()] == ["goal"]


def test_the_umask_is_read_and_not_set_for_that() -> None:
    former = os.umask(0o027)
    try:
        assert fileverbs._umask() == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(former)
