"""Tests of insula.engine.seclusion, as far as they need no privilege; tests/system/test_keeper.py has the others."""

import os
from pathlib import Path

import pytest

from insula.engine import seclusion
from insula.kernel.fds import Fd


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(seclusion, "STAGE", str(tmp_path))
    return tmp_path


def test_trees_get_places_of_their_kind_below_a_name(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached: list[str] = []
    monkeypatch.setattr(seclusion, "_attach_at", lambda path, tree: attached.append(path))
    (stage / "file").touch()
    trees = {"a": Fd(os.open(stage, os.O_PATH)), "b": Fd(os.open(stage / "file", os.O_PATH))}
    paths = seclusion.put_on_stage("guest", trees)
    assert paths == {"a": f"{stage}/guest/a", "b": f"{stage}/guest/b"}
    assert attached == list(paths.values())
    assert (stage / "guest/a").is_dir()
    assert (stage / "guest/b").is_file()
    seclusion.clear_stage("guest")
    assert not (stage / "guest").exists()
    for fd in trees.values():
        os.close(fd)


def test_clearing_what_is_not_there_is_fine(stage: Path) -> None:
    seclusion.clear_stage("nobody")
    assert list(stage.iterdir()) == []
