"""Tests of insula.cli.commandparser: what cannot be written is not taken for written."""

import errno
from typing import NoReturn

import pytest

from insula.cli.commandparser import CommandParser


class Full:
    """A file on a disk that is full."""

    def write(self, _: str) -> NoReturn:
        raise OSError(errno.ENOSPC, "no room")


def test_help_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(OSError, match="no room"):
        CommandParser(prog="insula").print_help(Full())


def test_help_goes_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        CommandParser(prog="insula").parse_args(["--help"])
    assert "usage: insula" in capsys.readouterr().out


def test_a_wrong_line_is_told_to_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        CommandParser(prog="insula").parse_args(["--other"])
    assert "unrecognized arguments: --other" in capsys.readouterr().err
