"""The page of system calls says what the filter's lists say."""

import errno
import sys
from pathlib import Path

import pytest

from insula.engine.policy import callreference
from insula.engine.policy.callgroups import ForbiddenArgument
from insula.engine.policy.hostpolicy import HOST_WIDE_ARGUMENTS
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.syscalls import ALLOWED, FORBIDDEN_ARGUMENTS, REFUSED

CHECKOUT = Path(__file__).parents[4]


def _rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = callreference.page().split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [each for each in section.splitlines() if each.startswith("| ")]
    return [each.strip("| ").split(" | ") for each in lines[1:]]


def test_the_page_is_what_the_lists_make() -> None:
    assert (CHECKOUT / callreference.PAGE).read_text() == callreference.page(), "run scripts/build-reference"


def test_each_allowed_group_is_a_row_with_all_its_calls_and_its_reason() -> None:
    rows = _rows("What passes")
    assert [row[1] for row in rows] == [group.why for group in ALLOWED]
    assert [tuple(row[0].replace("`", "").split()) for row in rows] == [group.names for group in ALLOWED]


def test_each_refused_group_tells_its_answer() -> None:
    rows = _rows("What is refused by name")
    assert [row[1:] for row in rows] == [[group.why, errno.errorcode[group.errno]] for group in REFUSED]


@pytest.mark.parametrize(
    ("title", "groups"),
    [
        ("Uses of calls that are refused", FORBIDDEN_ARGUMENTS),
        ("What the profile `migratable` refuses besides", MIGRATABLE_ARGUMENTS),
        ("What privileged guests are refused besides", (*NEW_MOUNT_ARGUMENTS, *HOST_WIDE_ARGUMENTS)),
    ],
    ids=["always", "migratable", "privileged"],
)
def test_each_forbidden_use_stands_with_its_reason_and_no_two_rows_are_alike(
    title: str, groups: tuple[ForbiddenArgument, ...]
) -> None:
    rows = _rows(title)
    assert {(row[0].split("`")[1], row[1]) for row in rows} == {(each.names[0], each.why) for each in groups}
    assert len({tuple(row) for row in rows}) == len(rows)


def test_conditions_are_told_by_argument_value_and_the_bits_that_count() -> None:
    cells = [row[0] for row in _rows("Uses of calls that are refused")]
    assert "`ioctl` with argument 2 0x5412" in cells
    assert "`ioctl` with argument 2 0x4c00 in the bits 0xfffffff0" in cells


def test_the_page_is_written_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / callreference.PAGE).parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["callreference", str(tmp_path)])
    callreference.main()
    callreference.main()
    assert capsys.readouterr().out == f"{callreference.PAGE}\n"
