"""How a guest's file is opened."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.look.regularfile import open_regular
from insula.kernel.beneath import CONTAINED
from insula.kernel.fds import Fd


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Fd]:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("/file")
    (tmp_path / "out").symlink_to("../../../../../../etc/passwd")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    descriptor = Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    yield descriptor
    os.close(descriptor)


def test_a_regular_file_is_opened_and_a_link_counts_where_it_may(root: Fd) -> None:
    for path, how in (("file", {}), ("/link", {"resolve": CONTAINED})):
        with open(open_regular(root, path, **how)) as file:
            assert file.read() == "content"
            assert not os.get_blocking(file.fileno()) and not os.get_inheritable(file.fileno())


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("link", "no regular file"),
        ("pipe", "no regular file"),
        ("directory", "Is a directory"),
        ("none", "No such file"),
    ],
)
def test_nothing_else_is_opened(root: Fd, path: str, problem: str) -> None:
    with pytest.raises(OSError, match=problem):
        open_regular(root, path)


def test_no_link_leads_out(root: Fd) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(root, "out", resolve=CONTAINED)
