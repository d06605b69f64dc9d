"""The table of attacks names tests that are there and all that try an attack; its page is made of it."""

from pathlib import Path

from tests import attacktable
from tests.attacktable import Attack


def test_every_attack_is_tried_by_tests_that_are_there_and_every_such_test_is_in_the_table() -> None:
    rows = attacktable.attacks()
    assert len(rows) > 50
    assert list(attacktable.mistakes(rows)) == []


def test_the_page_is_what_the_table_says() -> None:
    assert attacktable.PAGE.read_text() == attacktable.page(attacktable.attacks()), "run scripts/build-reference"


def test_no_attack_has_two_rows_of_its_family() -> None:
    told = [(row.family, number) for row in attacktable.attacks() for number in row.numbers.split() if "CVE" in number]
    assert [each for each in told if told.count(each) > 1] == []


def test_what_is_wrong_with_a_row_is_told() -> None:
    here = Path(__file__).relative_to(attacktable.CHECKOUT)
    rows = [
        Attack(family="f", numbers="CVE-1", was="w", held="h", tests=()),
        Attack(family="f", numbers="CVE-2", was="w", held="h", tests=(f"{here}::test_gone", "tests/gone.py::test_x")),
        Attack(
            family="f", numbers="CVE-3", was="w", held="h", tests=(f"{here}::test_the_page_is_what_the_table_says",)
        ),
    ]
    told = [line for line in attacktable.mistakes(rows) if "in no row" not in line]
    assert told == ["CVE-1: no test", "tests/gone.py::test_x: not there", f"{here}::test_gone: not there"]
    assert any("in no row" in line for line in attacktable.mistakes(rows))
