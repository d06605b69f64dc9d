import io
import os
import sys
from pathlib import Path

import pytest

from insula.cli.configsources import SOURCES, ConfigSource, gather
from insula.conversion.foreigndocument import SIZE_MAX
from insula.conversion.formats import FORMATS
from insula.errors import InvalidArgumentError

LXC = SOURCES["lxc-tools"]


def test_there_is_a_source_for_every_format() -> None:
    assert list(SOURCES) == [each.name for each in FORMATS]


def test_a_document_comes_with_the_files_that_it_and_they_name(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"lxc.include = {tmp_path}/more\nlxc.include = beside\nlxc.include = /nowhere/x\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.conf").write_text(f"lxc.mount.fstab = {tmp_path}/fstab\n")
    (tmp_path / "more/ignored.txt").write_text("")
    (tmp_path / "beside").write_text("lxc.arch = amd64\n")
    (tmp_path / "fstab").write_text("proc proc proc\n")
    for place in (tmp_path, tmp_path / "config"):
        found = gather(LXC, str(place))
        assert found.path == str(tmp_path / "config")
        assert set(found.others) == {str(tmp_path / each) for each in ("more/a.conf", "beside", "fstab")}


def test_what_includes_itself_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"lxc.include = {tmp_path}/config\n")
    assert gather(LXC, str(tmp_path)).others == {}


def test_standard_input_is_a_document_without_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"lxc.arch = x\n")))
    found = gather(LXC, "-")
    assert (found.text, found.path) == ("lxc.arch = x\n", None)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (SIZE_MAX + 1))
    os.mkfifo(tmp_path / "pipe")
    for name in ("nothing", "binary", "large", "pipe", "."):
        with pytest.raises(InvalidArgumentError, match=str(tmp_path)):
            gather(ConfigSource(), str(tmp_path / name))


def test_files_that_are_named_have_an_end(tmp_path: Path) -> None:
    for number in range(70):
        (tmp_path / f"{number}.conf").write_text("")
    (tmp_path / "config").write_text(f"lxc.include = {tmp_path}\n")
    with pytest.raises(InvalidArgumentError, match="more than"):
        gather(LXC, str(tmp_path))
