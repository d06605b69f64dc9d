import errno
import json
from pathlib import Path

import pytest

from insula.cli import plancommands
from insula.errors import InsulaError, InvalidArgumentError, OperationUnsupportedError, StepError
from insula.kernel.filekinds import FileKind
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of
from tests.unit.cli.test_execcommand import ExecClient

PLAN = {
    "steps": [
        {"where": "before", "does": "make the group a", "why": "limits"},
        {"where": "inside", "does": "pivot", "why": "the guest's root is its own"},
    ],
    "plan": {},
}


def _plan(client: FakeClient, *words: str) -> int:
    return plancommands.RUN["plan"](options_of(plancommands.ARGUMENTS["plan"], *words), client.host)


def test_steps_are_numbered_through_with_their_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Insula.DOMAIN_PLAN: json.dumps(PLAN)})
    assert _plan(client, "web") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("before:\n    1  make the group a\n         (limits)\ninside:\n    2  pivot\n")


def test_a_definition_is_planned_without_being_defined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.xml").write_text("<domain/>")
    client = FakeClient({Insula.PLAN_XML: json.dumps(PLAN)})
    assert _plan(client, "--xml", f"{tmp_path / 'web.xml'}", "--json") == 0
    assert json.loads(capsys.readouterr().out) == PLAN and client.made(Insula.PLAN_XML) == [("<domain/>", 0)]


def test_the_system_calls_are_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["# make the network namespace", "   0  unshare(0x40000000)"]
    answer = json.dumps({**PLAN, "program": lines})
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Insula.DOMAIN_PLAN: answer})
    assert _plan(client, "web", "--syscalls") == 0
    assert capsys.readouterr().out == "\n".join(lines) + "\n"
    assert client.made(Insula.DOMAIN_PLAN)[0][-1] == 1


def test_a_domain_and_a_definition_exclude_each_other() -> None:
    with pytest.raises(InvalidArgumentError):
        _plan(FakeClient({}))


def test_an_unreadable_definition_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"web\.xml': No such file or directory$"):
        _plan(FakeClient({}), "--xml", f"{tmp_path / 'web.xml'}")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], ["journalctl", "--no-pager"]),
        (["-f"], ["journalctl", "--no-pager", "--follow", "--no-tail"]),
        (["-f", "-n", "5"], ["journalctl", "--no-pager", "--follow", "--lines=5"]),
        (
            ["--since", "@1700000000", "-t"],
            ["journalctl", "--no-pager", "--since=@1700000000.000000", "--output=short-iso"],
        ),
    ],
)
def test_a_journal_is_told_by_the_guests_own_program(words: list[str], command: list[str]) -> None:
    client = ExecClient(3 << 8)
    options = options_of(plancommands.ARGUMENTS["log"], "--journal", *words, "web")
    assert plancommands.RUN["log"](options, client.host) == 3
    request = json.loads(client.request)
    assert request["argv"] == command
    assert client.kinds[0] is FileKind.NULL


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            StepError("'journalctl' was not found", step="execute journalctl", errno=errno.ENOENT),
            OperationUnsupportedError,
            r"domain 'web' has no journalctl inside.*insula log web\).*insula exec web --",
        ),
        (StepError("no exec", step="execute journalctl", errno=errno.EACCES), StepError, "no exec"),
        (StepError("no group", step="enter the group", errno=errno.ENOENT), StepError, "no group"),
    ],
)
def test_a_guest_that_has_no_journal_is_told_where_else_to_look(
    monkeypatch: pytest.MonkeyPatch, error: StepError, kind: type[InsulaError], said: str
) -> None:
    def enter(*_: object) -> int:
        raise error

    monkeypatch.setattr(plancommands, "enter", enter)
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB})
    with pytest.raises(kind, match=said) as raised:
        plancommands.RUN["log"](options_of(plancommands.ARGUMENTS["log"], "--journal", "web"), client.host)
    assert type(raised.value) is kind
