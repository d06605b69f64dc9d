import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from insula.cli import main
from insula.cli.main import failure, may_only_look, parse, split, status_of
from insula.cli.verbtable import VERBS, parser_of
from insula.errors import (
    DomainNotFoundError,
    ImageNotFoundError,
    InsulaError,
    InvalidArgumentError,
    OperationTimeoutError,
    StepError,
)
from insula.layout import Layout

VERBS_BY_NAME = {each.words: each for each in VERBS}


def test_a_verb_of_two_words_is_found_behind_the_options() -> None:
    before, verb, after = split(["--prefix", "/srv", "image", "ls", "--json"])
    assert before == ["--prefix", "/srv"] and verb is not None and verb.words == "image ls" and after == ["--json"]


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        status_of(["frobnicate"])
    assert exited.value.code == 2 and "'frobnicate' is no verb" in capsys.readouterr().err


def test_half_a_verb_is_wrong_usage_and_its_other_halves_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        status_of(["image", "--help"])
    assert exited.value.code == 2
    assert "'image' is half a verb; there are image build, image ls" in capsys.readouterr().err


def test_no_daemon_is_told_and_is_a_failure(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--prefix", f"{tmp_path}"[:60], "ls"]) != 0
    assert capsys.readouterr().err.startswith("insula: ")


@pytest.mark.parametrize(("verb", "arguments"), [("exec", ["a", "ls"]), ("run", ["-i", "x", "--", "/bin/ls"])])
def test_our_own_failure_differs_from_the_commands(verb: str, arguments: list[str]) -> None:
    def status(error: InsulaError) -> int:
        return failure(VERBS_BY_NAME[verb], arguments, error)

    assert status(DomainNotFoundError("x")) == 125
    assert status(StepError("no such program", step="execute /no/such", errno=errno.ENOENT)) == 127
    assert status(StepError("it is no program", step="execute /etc", errno=errno.EACCES)) == 126
    assert status(StepError("no groups", step="make the control group", errno=errno.ENOENT)) == 125
    assert status(InvalidArgumentError("x")) == 2


def test_a_failure_without_a_command_has_the_status_of_its_kind() -> None:
    assert failure(VERBS_BY_NAME["run"], ["-i", "x", "--"], ImageNotFoundError("x")) == 4
    assert failure(VERBS_BY_NAME["info"], ["a"], DomainNotFoundError("x")) == 4
    assert failure(VERBS_BY_NAME["stop"], ["a"], OperationTimeoutError("x")) == 7


def test_names_that_look_like_options_stand_behind_the_dashes() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("domains", nargs="+")
    assert parse(parser, ["--", "-dash", "--force"], command=False).domains == ["-dash", "--force"]


def test_what_stands_before_a_verb_is_told_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["image", "ls", "--prefix=/srv"]) == 2
    assert "--prefix stands before the verb: insula --prefix DIR image ls" in capsys.readouterr().err


def test_a_way_to_sort_begins_with_a_hyphen_and_is_no_option() -> None:
    parser = parser_of(VERBS_BY_NAME["ls"])
    for words in (["--sort", "-memory", "-q"], ["--sort=-memory", "-q"]):
        options = parse(parser, words, command=False)
        assert options.sort == "-memory" and options.quiet
    assert parse(parser, ["--sort", "name"], command=False).sort == "name"


def test_start_up_imports_neither_asyncio_nor_ctypes_nor_xml_nor_rich() -> None:
    code = (
        "import sys, insula.cli.main, insula.sdk.blocking_domains, insula.cli.listcommands;"
        "print([each for each in ('asyncio', 'ctypes', 'lxml', 'rich', 'pyroute2') if each in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_every_verb_explains_itself(verb: object, capsys: pytest.CaptureFixture[str]) -> None:
    words = verb.words  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as exited:
        status_of([*words.split(), "--help"])
    assert exited.value.code == 0 and f"insula {words}" in capsys.readouterr().out


def test_who_may_not_use_the_daemons_socket_looks_through_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.prefix(tmp_path)
    assert not may_only_look(layout), "neither is there: the error speaks of the usual one"
    layout.socket.parent.mkdir(parents=True)
    layout.socket.touch()
    layout.socket_read_only.touch()
    assert not may_only_look(layout)
    monkeypatch.setattr(os, "access", lambda path, mode: path == layout.socket_read_only)
    assert may_only_look(layout)


def _status_of_process(*arguments: str, output: str) -> tuple[int, str]:
    with open(output, "w") as stream:
        result = subprocess.run(
            [sys.executable, "-m", "insula.cli.main", *arguments],
            stdout=stream, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    return result.returncode, result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("help",), ("exec", "--help"), ("completion", "bash")])
def test_output_that_cannot_be_written_is_told_without_a_trace(arguments: tuple[str, ...]) -> None:
    status, told = _status_of_process(*arguments, output="/dev/full")
    assert (status, told) == (1, "insula: the output cannot be written: No space left on device\n")


def test_the_domain_is_named_where_the_error_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> int:
        raise OperationTimeoutError("it took too long")

    monkeypatch.setattr(main, "run", failing)
    assert status_of(["info", "web"]) == 7
    assert capsys.readouterr().err == "insula: web: it took too long\n"
    assert status_of(["info", "it"]) == 7, "which is no name in the text"
    assert capsys.readouterr().err == "insula: it: it took too long\n"
    assert status_of(["ls"]) == 7
    assert capsys.readouterr().err == "insula: it took too long\n"
