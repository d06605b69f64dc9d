"""Fixtures of the guest steps' unit tests."""

from pathlib import Path

import pytest


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A tree of the host's that becomes a guest's root, with links that try to get out, and something outside it."""
    root = tmp_path / "root"
    for name in ("etc", "data/below", "proc/sys/net", "proc/bus", "dev"):
        (root / name).mkdir(parents=True)
    (root / "etc/file").write_text("inside")
    (root / "absolute").symlink_to("/data")
    (root / "upwards").symlink_to("../../outside")
    (root / "dangling").symlink_to("/nowhere")
    (tmp_path / "outside").mkdir()
    (tmp_path / "place").mkdir()
    return tmp_path
