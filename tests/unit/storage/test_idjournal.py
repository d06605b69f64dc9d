"""A file of which domain has which ids, a line a change."""

import errno
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.storage.idjournal import IdJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    IdJournal(tmp_path / "ids").rewrite({})
    return tmp_path / "ids"


def opened(path: Path) -> IdJournal:
    journal = IdJournal(path)
    journal.read()
    return journal


def test_what_was_given_last_counts(path: Path) -> None:
    web, db = uuid4(), uuid4()
    journal = opened(path)
    journal.append(web, range(5, 10))
    journal.append(db, range(10, 15))
    journal.append(web, None)
    journal.append(web, range(20, 25))
    assert journal.read() == IdJournal(path).read() == {web: range(20, 25), db: range(10, 15)}


def test_a_reader_sees_what_another_appends_and_what_another_writes_anew(path: Path) -> None:
    reader, writer = opened(path), opened(path)
    web, db = uuid4(), uuid4()
    writer.append(web, range(5, 10))
    assert reader.read() == {web: range(5, 10)}
    writer.rewrite({db: range(1, 3)})
    assert reader.read() == writer.read() == {db: range(1, 3)}


def test_what_a_writer_left_half_written_is_cut_off_by_the_next(path: Path) -> None:
    web, db = uuid4(), uuid4()
    opened(path).append(web, range(5, 10))
    with path.open("ab") as file:
        file.write(b'{"domain": "6d2a8a1e-3b1f')
    journal = opened(path)
    assert journal.read() == {web: range(5, 10)}
    journal.append(db, range(10, 15))
    assert IdJournal(path).read() == {web: range(5, 10), db: range(10, 15)}


def test_a_line_that_cannot_be_written_whole_is_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, write = opened(path), os.write
    before = path.read_bytes()
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        with pytest.raises(OSError, match="no space left") as refusal:
            journal.append(uuid4(), range(5, 10))
    assert refusal.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert journal.read() == {}


def test_many_changes_of_few_domains_do_not_make_it_grow_for_ever(path: Path) -> None:
    journal, web = opened(path), uuid4()
    for number in range(2500):
        journal.append(web, range(number + 1, number + 2))
        journal.read()
    assert len(path.read_bytes().splitlines()) < 1200
    assert IdJournal(path).read() == {web: range(2500, 2501)}


@given(st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(1, 1 << 30)), max_size=30))
def test_the_file_says_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int | None]]
) -> None:
    path = tmp_path_factory.mktemp("ids") / "ids"
    IdJournal(path).rewrite({})
    journal, expected = opened(path), dict[UUID, range]()
    for place, (who, start) in enumerate(changes):
        uuid, ids = UUID(int=who), None if start is None else range(start * 100 + place, start * 100 + place + 1)
        expected.pop(uuid, None)
        if ids is not None and ids not in expected.values():
            expected[uuid] = ids
        journal.append(uuid, expected.get(uuid))
    assert dict(journal.read()) == dict(IdJournal(path).read()) == expected
