"""Tests of insula.engine.keeper.eventloop."""

import os
from collections.abc import Iterator

import pytest

from insula.engine.keeper.eventloop import HUNG_UP, NEWLY_READABLE, READABLE, EventLoop


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_handler_is_called_with_what_happened(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    seen: list[int] = []
    loop.watch(pipe[0], READABLE, seen.append)
    os.write(pipe[1], b"x")
    loop.turn()
    os.read(pipe[0], 1)
    os.close(pipe[1])
    loop.turn()
    assert [events & READABLE for events in seen] == [READABLE, 0]
    assert seen[1] & HUNG_UP


def test_an_unwatched_fd_is_left_alone(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    seen: list[int] = []
    loop.watch(pipe[0], READABLE, seen.append)
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    assert not loop.watches(pipe[0])
    os.write(pipe[1], b"x")
    loop.after(0.0, lambda: seen.append(-1))
    loop.turn()
    assert seen == [-1]


def test_watching_anew_tells_again_what_was_there(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    seen: list[int] = []
    loop.watch(pipe[0], NEWLY_READABLE, seen.append)
    os.write(pipe[1], b"x")
    loop.turn()
    loop.rewatch(pipe[0], NEWLY_READABLE)
    loop.turn()
    assert len(seen) == 2


def test_a_handler_may_unwatch_another_of_the_same_turn(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    seen: list[int] = []
    others = os.pipe()

    def first_come(fd: int, other: int) -> None:
        seen.append(fd)
        loop.unwatch(other)

    loop.watch(pipe[0], READABLE, lambda _: first_come(pipe[0], others[0]))
    loop.watch(others[0], READABLE, lambda _: first_come(others[0], pipe[0]))
    os.write(pipe[1], b"x")
    os.write(others[1], b"x")
    loop.turn()
    assert len(seen) == 1
    for fd in others:
        os.close(fd)


def test_a_mistake_in_one_handler_does_not_end_the_others(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    loop = EventLoop()
    seen: list[int] = []
    others = os.pipe()

    def fail(_: int) -> None:
        raise ZeroDivisionError

    loop.watch(pipe[0], READABLE, fail)
    loop.watch(others[0], READABLE, seen.append)
    os.write(pipe[1], b"x")
    os.write(others[1], b"x")
    loop.turn()
    loop.turn()
    assert len(seen) == 2
    assert not loop.watches(pipe[0])
    assert "ZeroDivisionError" in capsys.readouterr().err
    for fd in others:
        os.close(fd)


def test_actions_are_due_in_their_order_and_cancelled_ones_never() -> None:
    loop = EventLoop()
    done: list[str] = []
    loop.after(0.002, lambda: done.append("second"))
    first = loop.after(0.001, lambda: done.append("first"))
    loop.cancel(loop.after(0.0, lambda: done.append("never")))
    while len(done) < 2:
        loop.turn()
    loop.cancel(first)
    assert done == ["first", "second"]


def test_a_closed_loop_watches_nothing(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    loop.watch(pipe[0], READABLE, lambda _: None)
    loop.close()
    assert not loop.watches(pipe[0])
    with pytest.raises(ValueError, match="closed"):
        loop.turn()
