import io
import os
import pty
import signal
import termios

import pytest

from insula.cli import terminal


def test_a_terminal_is_given_back_as_it_was() -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with terminal.raw(slave):
            assert not termios.tcgetattr(slave)[3] & termios.ECHO
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_window_sizes_pass_through_a_pty() -> None:
    master, slave = pty.openpty()
    try:
        terminal.resize(master, 33, 99)
        assert terminal.window_size(slave) == (33, 99)
    finally:
        os.close(master)
        os.close(slave)


def test_signals_wake_a_waiting_program_with_their_numbers() -> None:
    with terminal.waking(signal.SIGUSR1) as reader:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert os.read(reader, 10) == bytes([signal.SIGUSR1])


def test_the_last_slave_closing_reads_as_an_end() -> None:
    master, slave = pty.openpty()
    os.close(slave)
    try:
        assert terminal.read_some(master) == b""
    finally:
        os.close(master)


def test_an_unfinished_line_is_handed_over_before_the_input_ends() -> None:
    assert terminal.end_of_file(line_open=False) == b"\x04"
    assert terminal.end_of_file(line_open=True) == b"\x04\x04"


@pytest.mark.parametrize(
    ("typed", "usually", "answer"),
    [("y\n", False, True), ("YES\n", False, True), ("\n", False, False), ("\n", True, True), ("n\n", True, False)],
)
def test_a_question_is_answered_by_yes_or_no(
    typed: str, usually: bool, answer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda _: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert terminal.confirmed("Sure?", usually=usually) is answer
    assert capsys.readouterr().err.startswith("Sure? [")


def test_nobody_is_asked_who_cannot_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda _: False)
    assert not terminal.confirmed("Sure?", usually=True)
    monkeypatch.setattr(terminal, "is_terminal", lambda _: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert not terminal.confirmed("Sure?", usually=True)
