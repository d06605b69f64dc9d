"""Files are whole or not there."""

import os
import stat
from pathlib import Path

import pytest

from insula.service.files import NEW_PREFIX, Durability, remove_file, replace_file, sweep


@pytest.mark.parametrize("durability", list(Durability))
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "web.xml"
    replace_file(path, "old", durability)
    with path.open() as reader:
        replace_file(path, "new ü", durability)
        assert reader.read() == "old"

    assert path.read_text() == "new ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["web.xml"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "web.xml"
    path.mkdir()

    with pytest.raises(IsADirectoryError):
        replace_file(path, "text", Durability.POWER_LOSS)

    assert os.listdir(tmp_path) == ["web.xml"]


def test_removing_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "web.xml"
    path.write_text("")

    remove_file(path, Durability.POWER_LOSS)
    remove_file(path, Durability.POWER_LOSS)

    assert not path.exists()


def test_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / f"{NEW_PREFIX}0123").write_text("half")
    (tmp_path / "web.xml").write_text("whole")

    sweep(tmp_path)

    assert os.listdir(tmp_path) == ["web.xml"]
