import pytest

from insula.engine.program.assembly import Label
from insula.engine.program.image import IMAGE_MAX
from tests.players import builder


def test_equal_constants_share_their_place_and_rooms_do_not() -> None:
    program = builder()
    assert program.text("dev") == program.text("dev")
    assert program.room(4) != program.room(4)


def test_a_text_with_a_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        builder().text("a\0b")


def test_a_program_that_is_too_long_is_refused() -> None:
    program = builder()
    program.room(IMAGE_MAX)
    with pytest.raises(ValueError, match="too long"):
        program.finished()


def test_a_label_that_never_comes_is_refused() -> None:
    program = builder()
    program.skip(Label())
    with pytest.raises(ValueError, match="never"):
        program.finished()


def test_a_call_of_no_machine_is_refused() -> None:
    with pytest.raises(KeyError):
        builder().call("fork")


def test_the_same_words_give_the_same_image() -> None:
    first, second = builder(), builder()
    for program in (first, second):
        program.close(program.make_filesystem("tmpfs", [["size", "1m"]]))
    assert first.finished().image == second.finished().image


def test_a_failure_names_the_step_of_the_record() -> None:
    program = builder()
    program.mark("begin")
    program.call("umask", 0)
    program.mark("go on")
    program.call("openat", -100, program.text("/x"), 0, 0, about="/x")
    failure = program.finished().failure(1, 2)
    assert str(failure) == "cannot go on: openat: No such file or directory: /x"
    assert (failure.step, failure.errno) == ("go on", 2)
