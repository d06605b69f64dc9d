"""Tests of insula.engine.steps.guest.shownfiles, in a mount namespace of their own."""

import os
from pathlib import Path

import pytest

from insula.engine.steps.guest.shownfiles import ShowFile
from tests.unit.engine.steps.guest.guesttrees import in_guest
from tests.unit.engine.steps.guest.performing import Us, perform


@pytest.mark.machine("mounts")
@pytest.mark.parametrize("before", ["nothing", "file", "link"])
def test_a_file_is_shown_and_the_images_own_stays(host: Path, before: str) -> None:
    where = host / "root/etc/resolv.conf"
    target = host / "root/data/target"
    target.write_text("untouched")
    if before == "file":
        where.write_text("untouched")
    elif before == "link":
        where.symlink_to("/data/target")

    def show(us: Us, inside: Path) -> tuple[str, int]:
        perform(us, ShowFile(why="test", path="etc/resolv.conf", content="nameserver ü\n"))
        shown = inside / ("data/target" if before == "link" else "etc/resolv.conf")
        return shown.read_text(), shown.stat().st_mode & 0o777

    assert in_guest(host, show) == ("nameserver ü\n", 0o644)
    assert where.is_symlink() is (before == "link")
    assert os.path.lexists(where)
    if before == "file":
        assert where.read_text() == "untouched"
    assert target.read_text() == "untouched"
