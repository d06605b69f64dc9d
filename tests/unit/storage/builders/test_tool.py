"""Programs run for a build: how failures are explained. Running them needs root: tests/system/test_images.py."""

import asyncio
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.storage.builders.imagebuilder import Workplace
from insula.storage.builders.tool import explained, run_tool


def test_a_failure_shows_status_and_last_lines() -> None:
    assert explained("mmdebstrap", 25, ["E: one", "E: two"]) == "mmdebstrap ended with status 25:\n  E: one\n  E: two"


def test_a_killed_program_is_named_with_its_signal() -> None:
    assert explained("apt-get", -9, []) == "apt-get was killed by signal 9 and wrote nothing"


def test_a_full_disk_is_said_in_so_many_words() -> None:
    assert "; the disk is full:" in explained("x", 1, ["dpkg: error: write: No space left on device"])


def test_a_missing_program_is_answered_with_its_package(tmp_path: Path) -> None:
    workplace = Workplace(directory=tmp_path, lock=0, report=lambda _: None)
    with pytest.raises(OperationFailedError, match="nosuchtool is not installed; install the package some-package"):
        asyncio.run(run_tool(["nosuchtool"], workplace, package="some-package", watch=lambda _: None))
