"""Tests of insula.kernel.identity, as far as they need no privilege."""

import os
from pathlib import Path

import pytest

from insula.kernel.identity import acting_as_owner, acting_on_files_as
from insula.kernel.privileges import held, use_what_is_permitted


def test_what_is_permitted_becomes_effective() -> None:
    use_what_is_permitted()
    assert held().effective == held().permitted


def test_files_made_as_oneself_are_ones_own_and_all_is_as_before(tmp_path: Path) -> None:
    before = held()
    with acting_on_files_as(os.getuid(), os.getgid()):
        (tmp_path / "file").touch()
        assert held() == before
    assert (tmp_path / "file").stat().st_uid == os.getuid()
    assert held() == before


@pytest.mark.requires("root")
def test_files_made_as_another_are_its_own_with_every_capability_kept(tmp_path: Path) -> None:
    before = held()
    (tmp_path / "closed").mkdir(mode=0o700)
    with acting_on_files_as(4242, 4343):
        (tmp_path / "closed/file").touch()
        assert held() == before
    made = (tmp_path / "closed/file").stat()
    assert (made.st_uid, made.st_gid) == (4242, 4343)
    (tmp_path / "mine").touch()
    assert (tmp_path / "mine").stat().st_uid == os.getuid()


@pytest.mark.requires("root")
def test_effective_ids_change_within_the_block_only_even_when_it_fails() -> None:
    before = held()

    def act() -> None:
        with acting_as_owner(4242, 4343):
            assert (os.geteuid(), os.getegid(), os.getuid()) == (4242, 4343, 0)
            assert held() == before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        act()
    assert (os.geteuid(), os.getegid()) == (0, 0)
    assert held() == before
