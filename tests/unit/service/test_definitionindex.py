"""What an earlier daemon has read is known by its text, to the same reader alone."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from insula.service import definitionindex
from insula.service.definitionindex import DefinitionIndex, modules_of

WEB, MAIL = UUID(int=1), UUID(int=2)


def opened(path: Path, reader: str = "1") -> DefinitionIndex:
    index = DefinitionIndex(path, reader)
    index.open()
    return index


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An index of two texts."""
    index = opened(tmp_path / "index")
    index.note("<web/>", "a web", WEB)
    index.keep_only(["<web/>"])
    index.note("<mail/>", "mail", MAIL)
    return tmp_path / "index"


def test_a_text_is_known_to_the_next_daemon_whether_it_was_read_or_saved(path: Path) -> None:
    index = opened(path)
    assert (index.find("<web/>"), index.find("<mail/>")) == (("a web", WEB), ("mail", MAIL))
    assert index.find("<web />") is None


def test_another_reader_knows_nothing_and_begins_anew(path: Path) -> None:
    other = opened(path, "2")
    assert other.find("<web/>") is None
    other.keep_only([])
    assert opened(path).find("<web/>") is None


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_of_a_file_that_was_cut_short_the_whole_lines_count(path: Path, cut: int) -> None:
    os.truncate(path, path.stat().st_size - cut)
    index = opened(path)
    assert index.find("<web/>") == ("a web", WEB)
    assert index.find("<mail/>") is None


@pytest.mark.parametrize("content", [b"", b"\0\xff\n", b"1\nnonsense\nx y z\n" + b"a " * 99 + b"\n"])
def test_a_file_that_makes_no_sense_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    assert opened(tmp_path / "index").find("<web/>") is None


def test_texts_that_are_no_more_are_forgotten_once_they_are_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitionindex, "_SPARE_LINES", 1)
    index = opened(path)
    index.keep_only(["<web/>", "<mail/>"])
    assert len(path.read_text().splitlines()) == 3
    index.keep_only(["<mail/>"])
    assert opened(path).find("<web/>") is None
    assert opened(path).find("<mail/>") == ("mail", MAIL)


def test_where_nothing_can_be_written_everything_is_read_again(tmp_path: Path) -> None:
    index = opened(tmp_path / "none" / "index")
    index.note("<web/>", "web", WEB)
    index.keep_only(["<web/>"])
    index.note("<mail/>", "mail", MAIL)
    assert index.find("<mail/>") == ("mail", MAIL)
    assert opened(tmp_path / "none" / "index").find("<web/>") is None


def test_a_reader_is_another_one_when_a_module_changes_and_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "xmlreader.py").write_text("1")
    first = modules_of(tmp_path)
    assert first == modules_of(tmp_path)
    (tmp_path / "notes.txt").write_text("1")
    assert first == modules_of(tmp_path)
    (tmp_path / "xmlreader.py").write_text("12")
    assert first != modules_of(tmp_path)
    assert modules_of(tmp_path / "gone") != modules_of(tmp_path / "gone")
