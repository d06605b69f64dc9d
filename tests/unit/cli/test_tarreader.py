import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.cli.tarreader import HEADER_MAX, MemberKind, TarReader
from insula.errors import OperationFailedError
from tests.examples import FEW, examples


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.mtime = kind, link, mode, 1_700_000_000
    return member


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _read(data: bytes) -> list[tuple[bytes, MemberKind, bytes, bytes]]:
    reader = TarReader(io.BytesIO(data).read)
    return [(each.name, each.kind, each.link, b"".join(reader.content())) for each in reader]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_come_with_names_kinds_links_and_content(form: int) -> None:
    data = archive(
        (_member("d", tarfile.DIRTYPE), b""),
        (_member("d/" + "x" * 90), b"content" * 100),
        (_member("d/link", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (_member("d/hard", tarfile.LNKTYPE, "d/link"), b""),
        (_member("d/pipe", tarfile.FIFOTYPE), b""),
        form=form,
    )
    assert _read(data) == [
        (b"d/", MemberKind.DIRECTORY, b"", b""),
        (b"d/" + b"x" * 90, MemberKind.FILE, b"", b"content" * 100),
        (b"d/link", MemberKind.SYMBOLIC_LINK, b"/etc/passwd", b""),
        (b"d/hard", MemberKind.HARD_LINK, b"d/link", b""),
        (b"d/pipe", MemberKind.OTHER, b"", b""),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_of_other_scripts_are_whole(form: int) -> None:
    long, foreign = "a/" + "b" * 300, "ä/ö" * 60
    data = archive((_member(long), b"1"), (_member("s", tarfile.SYMTYPE, foreign), b""), form=form)
    assert [(each[0].decode(), each[2].decode()) for each in _read(data)] == [(long, ""), ("s", foreign)]


def test_what_a_caller_does_not_want_is_passed_over() -> None:
    data = archive((_member("big"), b"x" * 300_000), (_member("small"), b"y"))
    reader = TarReader(io.BytesIO(data).read)
    assert [each.name for each in reader] == [b"big", b"small"]


def test_an_archive_is_read_to_its_end_so_that_whoever_writes_it_can_end() -> None:
    source = io.BytesIO(archive((_member("f"), b"x")) + bytes(1 << 20))
    assert len(list(TarReader(source.read))) == 1 and source.read() == b""


def _cut(data: bytes) -> bytes:
    return data[:700]


def _wrong_sum(data: bytes) -> bytes:
    return b"g" + data[1:]


@pytest.mark.parametrize("break_it", [_cut, _wrong_sum], ids=["cut short", "a wrong sum"])
def test_what_is_no_whole_archive_is_refused(break_it: object) -> None:
    with pytest.raises(OperationFailedError, match="no archive"):
        _read(break_it(archive((_member("f"), b"x" * 600))))  # type: ignore[operator]


def test_no_header_has_more_than_its_share_of_memory() -> None:
    name = _member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    name.size = 1 << 40
    asked: list[int] = []
    source = io.BytesIO(name.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))

    def read(size: int) -> bytes:
        asked.append(size)
        return source.read(size)

    with pytest.raises(OperationFailedError, match="a name of"):
        list(TarReader(read))
    assert max(asked) <= HEADER_MAX


def test_files_with_holes_and_unknown_kinds_are_refused() -> None:
    for kind in (tarfile.GNUTYPE_SPARSE, b"V", b"M"):
        with pytest.raises(OperationFailedError, match="kind"):
            _read(_member("f", kind).tobuf(tarfile.GNU_FORMAT))


WHOLE = archive((_member("d", tarfile.DIRTYPE), b""), (_member("x" * 150), b"y" * 700), (_member("ü"), b"z"))


@settings(max_examples=examples(FEW), deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(WHOLE)))
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    with suppress(OperationFailedError):
        assert len(_read(bytes(data[:length]))) <= 3


def _header(size: bytes, kind: bytes) -> bytes:
    """A header with that text as its size, and a sum that is right."""
    made = bytearray(_member("f", kind).tobuf(tarfile.USTAR_FORMAT))
    made[124:136] = size.ljust(12, b"\0")
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


@pytest.mark.parametrize("size", [b"-1", b"-1000", b"+7", b"1_0", b" \t7", b"8"])
@pytest.mark.parametrize("kind", [b"0", b"L", b"x"])
def test_a_size_that_only_python_takes_for_one_does_not_have_everything_read(size: bytes, kind: bytes) -> None:
    asked: list[int] = []
    data = io.BytesIO(_header(size, kind) + bytes(1 << 20))

    def read(count: int) -> bytes:
        asked.append(count)
        return data.read(count)

    reader = TarReader(read)
    with pytest.raises(OperationFailedError, match="numbers are none"):
        [b"".join(reader.content()) for _ in reader]
    assert min(asked) > 0 and sum(asked) <= HEADER_MAX


def test_a_name_with_a_zero_in_it_is_refused() -> None:
    member = _member("f")
    member.pax_headers = {"path": "data/a\0b"}
    with pytest.raises(OperationFailedError, match="a name with a zero"):
        _read(archive((member, b"x"), form=tarfile.PAX_FORMAT))
