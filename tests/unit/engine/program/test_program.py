import errno
from dataclasses import replace

from insula.engine.program.program import Mark, Meaning, Program

PROGRAM = Program(
    image=b"",
    passed=(),
    marks=(Mark(index=2, what="open the door"), Mark(index=2, what="go in"), Mark(index=5, what="sit down")),
    meanings={
        (3, None): Meaning(text="the door: {error}"),
        (3, errno.ENOENT): Meaning(text="there is no door", errno=errno.ENXIO),
    },
)


def test_what_fails_before_the_first_step_is_no_steps_failure() -> None:
    failure = PROGRAM.failure(1, errno.EPERM)
    assert (str(failure), failure.step, failure.errno) == ("Operation not permitted", "", errno.EPERM)


def test_a_failure_is_the_last_step_s_that_has_begun() -> None:
    assert PROGRAM.failure(4, errno.EPERM).step == "go in"
    assert PROGRAM.failure(5, errno.EPERM).step == "sit down"


def test_what_the_step_names_is_not_named_again() -> None:
    marks = (Mark(index=0, what="go to /gone"),)
    meanings: dict[tuple[int, int | None], Meaning] = {
        (0, None): Meaning(text="{error}", about="/gone"),
        (1, None): Meaning(text="{error}", about="/go"),
    }
    program = replace(PROGRAM, marks=marks, meanings=meanings)
    assert str(program.failure(0, errno.ENOENT)) == "cannot go to /gone: No such file or directory"
    assert str(program.failure(1, errno.ENOENT)) == "cannot go to /gone: No such file or directory: /go"


def test_an_errno_can_have_a_meaning_of_its_own() -> None:
    found, refused = PROGRAM.failure(3, errno.ENOENT), PROGRAM.failure(3, errno.EACCES)
    assert (str(found), found.errno) == ("cannot go in: there is no door", errno.ENXIO)
    assert (str(refused), refused.errno) == ("cannot go in: the door: Permission denied", errno.EACCES)


def test_a_result_without_an_errno_is_said_to_be_another_one() -> None:
    assert "something else" in str(PROGRAM.failure(6, 0))
