import shlex
import subprocess
from pathlib import Path

import pytest

from insula.cli.shellcompletion import COMPLETIONS
from insula.cli.verbtable import VERBS
from tests.waiting import patience

NAMES = ["web", "web two", "$(touch ran)", "`touch ran`", "worker;touch ran"]
"""Names of domains; those of some are commands of a shell."""


@pytest.fixture
def complete(tmp_path: Path) -> "Completer":
    program = tmp_path / "insula"
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\nprintf '%s\\n' {shlex.join(NAMES)}\n")
    program.chmod(0o755)
    (tmp_path / "completion").write_text(COMPLETIONS["bash"]())
    return Completer(tmp_path)


class Completer:
    """bash with our completion, and an `insula` that has these names for everything."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *words: str) -> list[str]:
        """What bash offers for the last word."""
        script = (
            f"PATH={self.directory}:$PATH; . ./completion; COMP_WORDS=({shlex.join(words)}); "
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _insula; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.directory, capture_output=True, text=True, check=True, timeout=patience(60)
        )
        assert done.stderr == ""
        return [each for each in done.stdout.splitlines() if each]

    @property
    def asked(self) -> list[str]:
        return (self.directory / "asked").read_text().splitlines()


def test_verbs_are_completed_by_their_words(complete: Completer) -> None:
    assert complete("insula", "cons") == ["console"]
    assert complete("insula", "image", "") == [each.words.split()[1] for each in VERBS if "image " in each.words]


def test_options_are_completed_for_their_verb(complete: Completer) -> None:
    assert complete("insula", "stop", "--") == ["--all", "--time", "--force", "--help"]
    assert "--runn" not in complete("insula", "start", "--")


def test_choices_are_completed(complete: Completer) -> None:
    assert complete("insula", "completion", "z") == ["zsh"]


def test_names_are_asked_of_the_daemon_below_the_same_prefix(complete: Completer) -> None:
    assert complete("insula", "--prefix", "/srv/x", "start", "we") == ["web", "web\\ two"]
    assert complete.asked == ["--prefix /srv/x ls -q"]
    complete("insula", "create", "-i", "")
    assert complete.asked[-1] == "image ls -q"


def test_no_name_is_a_command_of_the_shell(complete: Completer) -> None:
    offered = complete("insula", "start", "")
    assert len(offered) == len(NAMES)
    assert [shlex.split(each) for each in offered] == [[each] for each in NAMES]
    assert not (complete.directory / "ran").exists()


def test_what_follows_the_dashes_is_the_commands_own(complete: Completer) -> None:
    assert complete("insula", "exec", "web", "--", "--") == []


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_every_verb_stands_in_every_shells_completion(shell: str) -> None:
    text = COMPLETIONS[shell]()
    assert [each.words for each in VERBS if each.words.split()[-1] not in text] == []


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(("zsh", "-n"), marks=pytest.mark.requires("zsh")),
        pytest.param(("fish", "--no-execute"), marks=pytest.mark.requires("fish")),
    ],
    ids=lambda check: check[0],
)
def test_the_completion_is_good_grammar(check: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(COMPLETIONS[check[0]]())
    done = subprocess.run([*check, "completion"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.requires("fish")
def test_fish_completes_verbs_and_names(complete: Completer) -> None:
    def offered(line: str) -> list[str]:
        script = f"set PATH {complete.directory} $PATH; source fish; complete -C {shlex.quote(line)}"
        (complete.directory / "fish").write_text(COMPLETIONS["fish"]())
        command = ["env", f"HOME={complete.directory}", "fish", "--no-config", "-c", script]
        done = subprocess.run(command, cwd=complete.directory, capture_output=True, text=True, check=True)
        return [each.split("\t")[0] for each in done.stdout.splitlines()]

    assert offered("insula cons") == ["console"]
    assert offered("insula start we") == ["web", "web two"]
    assert offered("insula --prefix /srv/x image pr") == ["prune"]
    assert offered("insula stop --fo") == ["--force"]
    assert not (complete.directory / "ran").exists()
