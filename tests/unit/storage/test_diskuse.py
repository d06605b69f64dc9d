"""What a directory takes is counted where it is, and for so long as one wants to wait."""

import os
from pathlib import Path

from insula.storage.diskuse import used_below


def test_all_below_is_counted_and_no_link_is_followed(tmp_path: Path) -> None:
    counted, elsewhere = tmp_path / "counted", tmp_path / "elsewhere"
    (counted / "below").mkdir(parents=True)
    elsewhere.mkdir()
    before = used_below(counted, 60.0)
    for directory in (counted / "below", elsewhere):
        (directory / "file").write_bytes(os.urandom(1 << 20))
    (counted / "link").symlink_to(elsewhere)
    (counted / "linked-file").symlink_to(elsewhere / "file")
    after = used_below(counted, 60.0)
    assert not before.partial and not after.partial
    assert 1 << 20 <= after.used - before.used < 2 << 20


def test_when_the_time_is_over_it_may_be_more(tmp_path: Path) -> None:
    for name in range(3):
        (tmp_path / f"{name}").mkdir()
    assert used_below(tmp_path, -1.0).partial


def test_what_is_not_there_takes_nothing_that_is_known(tmp_path: Path) -> None:
    found = used_below(tmp_path / "missing", 60.0)
    assert (found.used, found.partial) == (0, True)
