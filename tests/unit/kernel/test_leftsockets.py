"""What a killed process left is removed, and nothing else."""

import socket
from pathlib import Path

import pytest

from insula.kernel.leftsockets import remove_left_socket


def test_a_socket_that_nobody_listens_at_is_removed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "s"))
    assert not remove_left_socket(tmp_path / "s") and not (tmp_path / "s").exists()
    assert not remove_left_socket(tmp_path / "s"), "nothing is there"


@pytest.mark.parametrize("waiting", [0, 1])
def test_one_that_somebody_listens_at_stays(tmp_path: Path, waiting: int) -> None:
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(str(tmp_path / "s"))
        other.listen(0)
        if waiting:
            client.connect(str(tmp_path / "s"))  # which leaves no room for a second one
        assert remove_left_socket(tmp_path / "s") and (tmp_path / "s").is_socket()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    assert not remove_left_socket(tmp_path / "s") and (tmp_path / "s").read_text() == "precious"
