"""A guest is an init that runs, or waits for nothing but a word."""

from insula.kernel.fds import NO_FD, Fd
from insula.testing import FakeProcess


def process(**fields: object) -> FakeProcess:
    known = {"pid": 7, "born": 1, "uuid": "1", "launch": "a", "group": "g", "ending": NO_FD}
    return FakeProcess(**known | fields)  # type: ignore[arg-type]


def test_neither_a_newborn_nor_a_program_that_was_put_in_is_a_guest() -> None:
    assert not process().is_guest
    assert process(executed=True).is_guest
    assert process(channel=Fd(3)).is_guest
    assert not process(executed=True, execution="7").is_guest


def test_what_ended_before_it_was_known_lives_no_more() -> None:
    assert not FakeProcess.gone(7, 1, "1").lives
