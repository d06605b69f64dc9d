"""Programs inside, as far as they need no guest; guests are in tests/system/test_container.py."""

import subprocess

import pytest

from insula import Container
from insula.engine.enter.guestprocess import DEVNULL, PIPE, TextForm
from insula.engine.insideverbs import ProgramRun
from insula.errors import OperationInvalidError

FORM = TextForm("utf-8", "strict")


def test_what_a_program_is_given_is_bytes_or_a_text_as_was_said() -> None:
    assert ProgramRun.of(["cat"], b"data", None).data == b"data"
    assert ProgramRun.of(["cat"], "grüße", FORM).data == "grüße".encode()
    for data, form in (("text", None), (b"data", FORM)):
        with pytest.raises(TypeError, match="the input is a text with text=True, else bytes"):
            ProgramRun.of(["cat"], data, form)


def test_its_input_is_empty_unless_there_is_one() -> None:
    assert ProgramRun.of(["cat"], None, FORM).wishes == (DEVNULL, PIPE, PIPE)
    assert ProgramRun.of(["cat"], b"", None).wishes == (PIPE, PIPE, PIPE)


def test_a_command_is_a_list_of_texts() -> None:
    container = Container("/srv/web", name="web")
    for argv in ("ls -l", b"ls", ["ls", 1], [b"ls"]):
        for act in (container.run, container.popen):
            with pytest.raises(TypeError, match=r"one text|no word of a command"):
                act(argv)  # type: ignore[arg-type]
    with pytest.raises(OperationInvalidError, match="'web' does not run"):
        container.run(["ls"])


def test_line_ends_become_newlines_in_texts() -> None:
    assert FORM.decoded(b"a\r\nb\rc\n") == "a\nb\nc\n"
    assert subprocess.PIPE == PIPE
