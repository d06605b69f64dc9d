"""What is the Python player's alone; what holds for all is in `tests/conformance/test_players.py`."""

import os
import subprocess
import sys

import pytest

from insula.engine.program.player import Player
from insula.kernel.fds import memory_file
from tests.players import builder


def test_results_can_be_looked_at_afterwards() -> None:
    program = builder()
    program.call("getpid")
    program.call("close", 4000, whatever=True)
    image = memory_file("program", program.finished().image)
    try:
        player = Player(image, 7)
    finally:
        os.close(image)
    assert player.play() is None
    assert player.results == [os.getpid(), -9]
    assert player.channel == 7


def test_a_longer_image_than_it_says_is_refused() -> None:
    image = memory_file("program", builder().finished().image + b"\0")
    try:
        with pytest.raises(ValueError, match="version"):
            Player(image, 0)
    finally:
        os.close(image)


def test_it_imports_next_to_nothing() -> None:
    code = "import sys; import insula.engine.program.player; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "dataclasses", "json", "lxml"} & set(imported)
