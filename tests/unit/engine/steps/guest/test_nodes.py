"""Tests of insula.engine.steps.guest.nodes."""

import os
from pathlib import Path

import pytest

from insula.engine.steps.guest.nodes import RemoveNode
from tests.unit.engine.steps.guest.guesttrees import in_guest
from tests.unit.engine.steps.guest.performing import Us, perform

STEP = RemoveNode(why="test", target="/dev/deep/node", major=0, minor=0)
"""The one node that may be made in a user namespace is 0:0. Source: mknod(2), whiteouts of overlayfs."""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A guest's tree with a /dev."""
    (tmp_path / "root/dev/deep").mkdir(parents=True)
    (tmp_path / "place").mkdir()
    return tmp_path


def left(host: Path, step: RemoveNode) -> list[str]:
    """Return what is in the directory once the step was performed twice."""

    def remove(us: Us, where: Path) -> list[str]:
        perform(us, step)
        perform(us, step)
        return sorted(each.name for each in (where / "dev/deep").iterdir())

    return in_guest(host, remove)


def test_the_empty_file_that_a_node_was_shown_at_goes(host: Path) -> None:
    made = host / "root/dev/deep/node"
    made.touch()
    made.chmod(0o644)
    (made.parent / "other").touch()
    assert left(host, STEP) == ["other"]


def test_a_node_of_these_numbers_goes(host: Path) -> None:
    def make(us: Us, where: Path) -> list[str]:
        os.mknod(where / "dev/deep/node", 0o20600, os.makedev(0, 0))
        perform(us, RemoveNode(why="test", target="/dev/deep/node", major=0, minor=1))
        kept = len(os.listdir(where / "dev/deep"))
        perform(us, STEP)
        return [str(kept), *os.listdir(where / "dev/deep")]

    assert in_guest(host, make) == ["1"]


@pytest.mark.parametrize("kind", ["content", "link", "mode", "directory"])
def test_what_else_has_come_there_stays(host: Path, kind: str) -> None:
    made = host / "root/dev/deep/node"
    match kind:
        case "content":
            made.write_text("precious")
        case "link":
            made.symlink_to("elsewhere")
        case "mode":
            made.touch()
            made.chmod(0o600)
        case "directory":
            made.mkdir()
    numbered = RemoveNode(why="test", target="/dev/deep/node", major=10, minor=229)
    assert left(host, numbered) == ["node"]


@pytest.mark.parametrize("target", ["/dev/nowhere/node", "/dev/deep/nothing", "/nothing"])
def test_nothing_there_is_no_error(host: Path, target: str) -> None:
    assert left(host, RemoveNode(why="test", target=target, major=10, minor=229)) == []
