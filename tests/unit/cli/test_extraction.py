"""What an archive holds is written below one directory, and nowhere else."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from insula.cli.extraction import Extraction
from insula.cli.tarreader import TarReader
from insula.errors import OperationFailedError

Entry = tuple[tarfile.TarInfo, bytes]


def _file(name: str, content: bytes = b"x", mode: int = 0o644) -> Entry:
    return _entry(name, tarfile.REGTYPE, content=content, mode=mode)


def _entry(name: str, kind: bytes, link: str = "", content: bytes = b"", mode: int = 0o755) -> Entry:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.mtime = kind, link, mode, 1_000_000
    member.uid = member.gid = 12345
    member.size = len(content)
    return member, content


def _directory(name: str, mode: int = 0o755) -> Entry:
    return _entry(name, tarfile.DIRTYPE, mode=mode)


def _link(name: str, target: str) -> Entry:
    return _entry(name, tarfile.SYMTYPE, target)


def _hard(name: str, target: str) -> Entry:
    return _entry(name, tarfile.LNKTYPE, target)


def _extract(target: Path, *entries: Entry, base: str = "data", name: str = "data") -> Extraction:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    made.seek(0)
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        extraction = Extraction(directory, base=base, name=name)
        extraction.extract(TarReader(made.read))
        return extraction
    finally:
        os.close(directory)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that nothing may be written to."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_text("kept")
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = tmp_path / "target"
    place.mkdir()
    return place


@pytest.fixture(autouse=True)
def _untouched(outside: Path) -> object:
    yield
    assert [each.name for each in outside.iterdir()] == ["secret"] and (outside / "secret").read_text() == "kept"
    assert os.stat(outside / "secret").st_nlink == 1


def test_a_tree_is_written_with_modes_times_and_links(target: Path) -> None:
    _extract(
        target,
        _directory("data", 0o500),
        _file("data/a", b"1" * 200_000, 0o640),
        _directory("data/sub"),
        _hard("data/sub/b", "data/a"),
        _link("data/sub/c", "/etc/passwd"),
        _file("data/z"),
    )
    data = target / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o500 and data.stat().st_mtime == 1_000_000
    assert (data / "a").read_bytes() == b"1" * 200_000 and stat.S_IMODE((data / "a").stat().st_mode) == 0o640
    assert (data / "sub/b").samefile(data / "a") and os.readlink(data / "sub/c") == "/etc/passwd"
    assert (data / "a").stat().st_uid == os.geteuid()


def test_it_can_get_another_name_and_replaces_files_that_are_there(target: Path) -> None:
    (target / "new").write_text("before")
    _extract(target, _file("data", b"after"), name="new")
    assert (target / "new").read_text() == "after" and os.listdir(target) == ["new"]


def test_the_root_of_a_guest_lands_in_the_directory_itself(target: Path) -> None:
    _extract(target, _directory("."), _file("./etc", b"1"), base="", name="")
    assert os.listdir(target) == ["etc"]


@pytest.mark.parametrize(
    "name", ["../outside/x", "/outside/x", "data/../../outside/x", "other", "data2/x", "..", "data/" + "d/" * 300 + "x"]
)
def test_a_name_that_leads_elsewhere_is_refused(target: Path, name: str) -> None:
    with pytest.raises(OperationFailedError, match="not below what was asked for"):
        _extract(target, _file(name))
    assert os.listdir(target) == []


@pytest.mark.parametrize("way", ["../../outside", "OUTSIDE", "../../target/data/loop"])
def test_nothing_is_written_through_a_link_that_came_along(target: Path, outside: Path, way: str) -> None:
    way = str(outside) if way == "OUTSIDE" else way
    with pytest.raises(OperationFailedError, match="stands in the way"):
        _extract(target, _directory("data"), _link("data/loop", way), _file("data/loop/x"))
    with pytest.raises(OperationFailedError, match="stands in the way"):
        _extract(target, _directory("data/loop"))


def test_nothing_is_written_through_a_link_that_was_there(target: Path, outside: Path) -> None:
    (target / "data").symlink_to(outside)
    with pytest.raises(OperationFailedError, match="stands in the way"):
        _extract(target, _file("data/x"))
    with pytest.raises(OperationFailedError, match="stands in the way"):
        _extract(target, _directory("data"), _file("data/x"))
    _extract(target, _file("data"))
    assert (target / "data").read_text() == "x" and not (target / "data").is_symlink()


def test_a_file_is_made_anew_and_never_written_through_its_other_names(target: Path, outside: Path) -> None:
    (target / "data").mkdir()
    os.link(outside / "secret", target / "data/secret")
    _extract(target, _file("data/secret", b"from the guest"))
    assert (target / "data/secret").read_text() == "from the guest"
    (target / "data/link").symlink_to(outside / "secret")
    _extract(target, _file("data/link", b"from the guest"))


@pytest.mark.parametrize("aim", ["../outside/secret", "/outside/secret", "other", "data/loop/secret"])
def test_a_hard_link_leads_nowhere_else(target: Path, outside: Path, aim: str) -> None:
    with pytest.raises(OperationFailedError):
        _extract(target, _directory("data"), _link("data/loop", str(outside)), _hard("data/x", aim))


def test_no_program_gains_rights_and_no_device_is_made(target: Path) -> None:
    extraction = _extract(
        target,
        _directory("data", 0o7755),
        _file("data/su", mode=0o6755),
        _entry("data/null", tarfile.CHRTYPE),
        _entry("data/pipe", tarfile.FIFOTYPE),
    )
    assert stat.S_IMODE((target / "data/su").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "data").stat().st_mode) == 0o755
    assert os.listdir(target / "data") == ["su"] and extraction.left_out == 2


def test_a_directory_is_not_replaced_by_a_file(target: Path) -> None:
    (target / "data").mkdir()
    with pytest.raises(OperationFailedError, match="a directory stands there"):
        _extract(target, _file("data"))


def test_a_directory_that_the_archive_replaces_meanwhile_gets_no_ones_mode(target: Path, outside: Path) -> None:
    with pytest.raises(OperationFailedError):
        _extract(target, _directory("data"), _directory("data/d", 0o777), _link("data/d", str(outside)))


def test_a_directory_that_was_there_keeps_its_mode_whatever_the_archive_says(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    _extract(tmp_path, _directory("data", 0o777), _directory("data/new", 0o755), _file("data/f"), _directory("data"))
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data/new").stat().st_mode) == 0o755


def test_a_guest_opens_nothing_to_others_that_the_umask_keeps_closed(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        _extract(tmp_path, _directory("data", 0o777), _file("data/f", mode=0o666))
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "data/f").stat().st_mode) == 0o640
