"""Tests of insula.engine.keeper.mountspace without privilege; tests/system/test_keeper.py has the others."""

import os
from pathlib import Path

import pytest

from insula.engine.keeper import mountspace
from insula.kernel.fds import Fd


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mountspace, "STAGE", str(tmp_path))
    return tmp_path


def test_trees_get_places_of_their_kind_below_a_name(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached: list[str] = []
    monkeypatch.setattr(mountspace, "_attach_at", lambda path, tree: attached.append(path))
    (stage / "file").touch()
    trees = {"a": Fd(os.open(stage, os.O_PATH)), "b": Fd(os.open(stage / "file", os.O_PATH))}
    paths = mountspace.stage_mounts("guest", trees)
    assert paths == {"a": f"{stage}/guest/a", "b": f"{stage}/guest/b"}
    assert attached == list(paths.values())
    assert (stage / "guest/a").is_dir()
    assert (stage / "guest/b").is_file()
    mountspace.unstage_mounts("guest")
    assert not (stage / "guest").exists()
    for fd in trees.values():
        os.close(fd)


def test_clearing_what_is_not_there_is_fine(stage: Path) -> None:
    mountspace.unstage_mounts("nobody")
    assert list(stage.iterdir()) == []
