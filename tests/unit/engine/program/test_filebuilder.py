import os

import pytest

from tests.players import PLAYERS, builder, played


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_either_kind_plays_the_one_that_it_is(tmp_path: os.PathLike[str], kind: str) -> None:
    path = os.fspath(tmp_path) if kind == "directory" else __file__
    program = builder()
    opened = program.open(path, os.O_PATH)
    for is_directory in program.either_kind(opened):
        program.say({"directory": is_directory})
    program.call("exit_group", 0)
    outcome = played(PLAYERS["python"], program.finished())
    assert outcome.said == [({"directory": kind == "directory"}, 0)]


def test_a_place_is_found_or_made_and_never_of_the_other_kind(tmp_path: os.PathLike[str]) -> None:
    os.mkdir(os.path.join(tmp_path, "there"))
    for path, directory, wanted in (
        ("there", True, None),
        ("new/and/deep", True, None),
        ("there/file", False, None),
        ("there/file", False, None),
        ("there", False, "Is a directory"),
        ("there/file", True, "Not a directory"),
    ):
        program = builder()
        root = program.open(os.fspath(tmp_path), os.O_PATH)
        program.close(program.place(root, path, directory=directory))
        program.call("exit_group", 0)
        finished = program.finished()
        failed = played(PLAYERS["python"], finished).failed
        assert (failed is None) == (wanted is None), path
        if failed is not None and wanted is not None:
            assert wanted in str(finished.failure(*failed))
    assert os.path.isdir(os.path.join(tmp_path, "new/and/deep"))
    assert os.path.isfile(os.path.join(tmp_path, "there/file"))
