"""Tests of insula.kernel.pipes."""

import os
import select

from insula.kernel import pipes


def test_what_is_copied_ahead_stays_where_it_is_until_it_is_discarded() -> None:
    source, target = os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)
    null = os.open(os.devnull, os.O_WRONLY)
    assert pipes.copy_ahead(source[0], target[1], 100) is None
    os.write(source[1], b"abcdef")
    assert pipes.copy_ahead(source[0], target[1], 4) == 4
    assert (pipes.waiting(source[1]), pipes.waiting(target[1]), os.read(target[0], 100)) == (6, 4, b"abcd")
    pipes.discard(source[0], 4, null)
    assert os.read(source[0], 100) == b"ef"
    pipes.discard(source[0], 1000, null)
    os.close(source[1])
    assert pipes.copy_ahead(source[0], target[1], 4) == 0
    pipes.discard(source[0], 1000, null)
    pipes.close_all([source[0], *target, null])


def test_a_writer_learns_that_nobody_reads() -> None:
    reader, writer = pipes.private_pipe()
    assert not pipes.is_abandoned(writer)
    os.close(reader)
    assert pipes.is_abandoned(writer)
    os.close(writer)


def test_a_pipe_of_one_page_is_ready_only_when_it_has_been_emptied() -> None:
    reader, writer = pipes.private_pipe()
    pipes.resize(writer, pipes.ATOMIC)
    os.write(writer, b"ab")
    os.read(reader, 1)
    assert select.select((), (writer,), (), 0)[1] == []
    os.read(reader, 1)
    assert select.select((), (writer,), (), 0)[1] == [writer]
    pipes.close_all([reader, writer])
