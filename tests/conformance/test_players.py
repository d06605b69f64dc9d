"""What holds for every player of programs."""

import errno
import os
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.engine.program.assembly import Argument, Label, Loaded, Pointer
from insula.engine.program.builder import Builder
from insula.engine.program.keeperexchange import CHANNEL
from insula.engine.program.program import Program
from insula.kernel.fds import AT_FDCWD
from tests.players import PLAYERS, Start, builder, played


@pytest.fixture(params=PLAYERS)
def start(request: pytest.FixtureRequest) -> Start:
    return PLAYERS[request.param]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


def end(program: Builder, status: int = 0) -> None:
    program.call("exit_group", status)


def test_a_program_ends_as_it_says(start: Start) -> None:
    program = builder()
    end(program, 3)
    outcome = played(start, program.finished())
    assert (outcome.exit_code, outcome.said) == (3, [])


def test_a_record_that_fails_is_named_with_its_errno(start: Start) -> None:
    program = builder()
    program.call("umask", 0o22)
    program.call("openat", AT_FDCWD, program.text("/no such file"), 0, 0)
    end(program)
    outcome = played(start, program.finished())
    assert (outcome.failed, outcome.exit_code) == ((1, errno.ENOENT), 127)


def test_a_program_that_runs_out_of_records_has_failed(start: Start) -> None:
    program = builder()
    program.call("umask", 0o22)
    outcome = played(start, program.finished())
    assert outcome.exit_code == 127
    assert outcome.failed is not None


def test_a_wrong_result_fails_without_an_errno(start: Start) -> None:
    program = builder()
    program.call("umask", 0o22)
    program.call("umask", 0o22, wanted=0o23)
    end(program)
    assert played(start, program.finished()).failed == (1, 0)


def test_a_refusal_can_be_what_is_wanted(start: Start) -> None:
    program = builder()
    program.call("close", 999, wanted=-errno.EBADF)
    program.call("close", 999, whatever=True)
    end(program)
    assert played(start, program.finished()).exit_code == 0


def test_results_of_earlier_records_are_arguments(start: Start, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    program = builder()
    program.receive_fds()
    fd = program.call("openat", AT_FDCWD, program.text("/dev/zero"), os.O_RDONLY | os.O_CLOEXEC, 0)
    room = program.constant(b"12345678")
    program.call("read", fd, room, 3, wanted=3)
    program.call("write", program.passed("pipe"), room, 8, wanted=8)
    end(program)
    assert played(start, program.finished(), {"pipe": writing}).exit_code == 0
    assert os.read(reading, 100) == b"\0\0\x0045678"


def test_named_errnos_skip_forward_and_others_fail(start: Start) -> None:
    program = builder()
    behind = Label()
    program.call("openat", AT_FDCWD, program.text("/no such file"), 0, 0, unless=(errno.ENOENT, behind))
    end(program, 1)
    program.here(behind)
    program.call("close", 999, unless=(errno.ENOENT, behind))
    program.here(behind)
    end(program, 2)
    assert played(start, program.finished()).failed == (2, errno.EBADF)


def test_comparisons_look_at_masked_words(start: Start) -> None:
    program = builder()
    word = program.room(4)
    program.store(word, 0xFFFF_1234)
    other = Label()
    program.skip_unless(word, 0x1234, other, mask=0xFFFF)
    program.skip_unless(word, 0x1234, other)
    end(program, 1)
    program.here(other)
    program.require(word, 0x1234, mask=0xFFFF, means="unlike", code=0)
    program.require(word, 0x1234, means="like", code=0, other=True)
    end(program, 9)
    assert played(start, program.finished()).exit_code == 9


def test_a_comparison_that_must_hold_fails_with_eperm(start: Start) -> None:
    program = builder()
    program.require(program.room(4), 7, means="not seven", code=errno.EISDIR)
    outcome = played(start, program.finished())
    assert outcome.failed == (0, errno.EPERM)
    failure = program.finished().failure(*outcome.failed)
    assert (str(failure), failure.errno) == ("not seven", errno.EISDIR)


def test_loaded_numbers_are_signed(start: Start) -> None:
    program = builder()
    word = program.room(4)
    program.store(word, AT_FDCWD & 0xFFFF_FFFF)
    program.call("openat", Loaded(word), program.text("/dev/null"), os.O_RDONLY | os.O_CLOEXEC, 0)
    end(program, 5)
    assert played(start, program.finished()).exit_code == 5


def test_a_call_that_would_block_is_tried_again_but_not_for_ever(start: Start, pipe: tuple[int, int]) -> None:
    program = builder()
    program.receive_fds()
    fd = program.passed("pipe")
    program.call("read", fd, program.room(1), 1, again=True)
    assert played(start, program.finished(), {"pipe": pipe[0]}).failed == (3, errno.EAGAIN)


def test_addresses_in_the_data_are_those_of_the_mapping(start: Start, pipe: tuple[int, int]) -> None:
    program = builder()
    program.receive_fds()
    program.say({"text": "it is said"}, {"one": program.passed("pipe"), "two": 0})
    end(program)
    outcome = played(start, program.finished(), {"pipe": pipe[1]})
    assert outcome.said == [({"text": "it is said", "fds": ["one", "two"]}, 2)]


def test_passed_fds_come_in_the_order_in_which_they_were_asked_for(start: Start, tmp_path: Path) -> None:
    program = builder()
    program.receive_fds("first")
    for name in ("second", "first"):
        program.write(program.passed(name), name)
    end(program)
    opened = {name: os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("second", "first")}
    try:
        assert program.finished().passed == ("first", "second")
        assert played(start, program.finished(), opened).exit_code == 0
    finally:
        for fd in opened.values():
            os.close(fd)
    assert {name: (tmp_path / name).read_text() for name in opened} == {"first": "first", "second": "second"}


def test_a_channel_that_ends_instead_of_passing_anything_is_a_failure(start: Start) -> None:
    program = builder()
    program.receive_fds()
    program.passed("root")
    end(program)
    finished = program.finished()
    outcome = played(start, finished, {"root": 0}, go=False)
    assert outcome.failed == (0, 0)
    assert "the keeper has gone" in str(finished.failure(0, 0))


def test_too_few_and_too_many_fds_are_a_failure(start: Start) -> None:
    program = builder()
    program.receive_fds()
    program.passed("one")
    end(program)
    few = program.finished()
    program.passed("two")
    program.passed("three")
    program.passed("four")
    many = program.finished()
    assert played(start, _passing(many.image, few.passed), {"one": 0}).failed == (2, errno.EPERM)
    failed = played(start, _passing(few.image, many.passed), dict.fromkeys(many.passed, 0)).failed
    assert failed == (1, errno.EPERM)


def _passing(image: bytes, passed: tuple[str, ...]) -> Program:
    return Program(image=image, passed=passed, marks=(), meanings={})


def test_behind_a_clone_the_child_goes_on_and_its_parent_skips(start: Start, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    program = builder()
    program.receive_fds()
    fd = program.passed("pipe")
    arguments = program.words([0, 0, 0, 0, signal.SIGCHLD, *[0] * 6])
    parent = Label()
    cloned = program.call("clone3", arguments, 88)
    program.parent_skips(cloned, parent)
    program.write(fd, "child")
    end(program)
    program.here(parent)
    program.call("waitid", 1, cloned, 0, os.WEXITED, 0)
    program.write(fd, "parent")
    end(program, 4)
    assert played(start, program.finished(), {"pipe": writing}).exit_code == 4
    assert os.read(reading, 100) == b"childparent"


def test_a_program_can_move_its_channel(start: Start) -> None:
    program = builder()
    program.call("dup3", CHANNEL, 90, os.O_CLOEXEC)
    before = program.call("fcntl", CHANNEL, 1, 0)
    assert before.record == 1
    program.store(CHANNEL.place, 90)
    program.call("close_range", 3, 89, 0)
    program.say({"from": "there"})
    program.call("close", 999)
    outcome = played(start, program.finished())
    assert outcome.said == [({"from": "there"}, 0), ({"failed": 5, "errno": errno.EBADF}, 0)]


def test_signals_do_not_cut_a_call_short(start: Start, tmp_path: Path) -> None:
    program = builder()
    program.receive_fds()
    handler = struct.pack("<QQQQ", 1, 0, 0, 0)  # SIG_IGN
    program.call("rt_sigaction", signal.SIGALRM, program.constant(handler), 0, 8)
    program.call("read", program.passed("file"), program.room(10), 10, wanted=4)
    end(program)
    (tmp_path / "file").write_text("four")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert played(start, program.finished(), {"file": fd}).exit_code == 0
    finally:
        os.close(fd)


def test_what_one_program_writes_no_other_sees(start: Start) -> None:
    program = builder()
    word = program.room(4)
    program.require(word, 0, means="it is not fresh", code=0)
    program.store(word, 1)
    end(program)
    finished = program.finished()
    assert [played(start, finished).exit_code for _ in range(2)] == [0, 0]


def test_what_is_no_program_is_not_played(start: Start) -> None:
    program = builder()
    end(program)
    image = program.finished().image
    for broken in (b"X" + image[1:], image + b"\0", image[:-1], image[:40], b""):
        outcome = played(start, _passing(broken, ()))
        assert outcome.exit_code == 127
        assert outcome.failed is not None


_WORDS = st.integers(min_value=0, max_value=0xFFFF_FFFF)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(_WORDS, min_size=1, max_size=12), status=st.integers(min_value=0, max_value=126), data=st.data())
def test_what_is_stored_is_what_is_compared(values: list[int], status: int, data: st.DataObject) -> None:
    masks = [data.draw(_WORDS) for _ in values]
    for start in PLAYERS.values():
        program = builder()
        places: list[Pointer] = [program.room(4) for _ in values]
        for place, value in zip(places, values, strict=True):
            program.store(place, value)
        for place, value, mask in zip(places, values, masks, strict=True):
            program.require(place, value & mask, mask=mask, means="lost", code=0)
            wrong = Label()
            program.skip_unless(place, (value ^ 1) & 0xFFFF_FFFF, wrong)
            end(program, 126)
            program.here(wrong)
        end(program, status)
        assert played(start, program.finished()).exit_code == status


@settings(max_examples=10, deadline=None)
@given(steps=st.lists(st.sampled_from(["umask", "limit", "refused", "skipped"]), max_size=30))
def test_any_mixture_of_harmless_records_is_played_to_its_end(steps: list[str]) -> None:
    for start in PLAYERS.values():
        program = builder()
        last: Argument = 0o22
        for step in steps:
            if step == "umask":
                last = program.call("umask", last)
            elif step == "limit":
                room = program.room(16)
                program.call("prlimit64", 0, resource.RLIMIT_CORE, 0, room)
            elif step == "refused":
                program.call("close", 4000, wanted=-errno.EBADF)
            else:
                beyond = Label()
                program.call("close", 4000, unless=(errno.EBADF, beyond))
                end(program, 1)
                program.here(beyond)
        end(program, 7)
        assert played(start, program.finished()).exit_code == 7
