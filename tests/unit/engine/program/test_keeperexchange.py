import pytest

from insula.engine.program.image import CHANNEL_OFFSET
from insula.engine.program.keeperexchange import CHANNEL
from tests.players import builder


def test_nothing_is_passed_before_it_is_received() -> None:
    with pytest.raises(ValueError, match="root"):
        builder().passed("root")


def test_a_name_is_passed_once_however_often_it_is_asked_for() -> None:
    program = builder()
    program.receive_fds("init")
    assert program.passed("root") == program.passed("root")
    assert program.finished().passed == ("init", "root")


def test_no_more_is_passed_than_one_message_carries() -> None:
    program = builder()
    program.receive_fds()
    for number in range(253):
        program.passed(f"mount{number}")
    with pytest.raises(ValueError, match="253"):
        program.passed("one more")


def test_the_channel_is_where_the_header_says() -> None:
    assert (CHANNEL.place.offset, CHANNEL.place.whole) == (CHANNEL_OFFSET, True)
