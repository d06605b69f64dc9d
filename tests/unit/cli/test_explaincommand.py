"""Why a command was refused is told in paragraphs, or as one document."""

import json

import pytest

from insula.cli import explaincommand
from insula.cli.explaincommand import confinement_lines, explanation_lines
from insula.rpc.procedures import Insula
from insula.sdk.conversation import Answer, Request
from tests.unit.cli.options import options_of
from tests.unit.cli.test_execcommand import ExecClient

VERDICT = {"layer": "capability", "evidence": "it needs sys_time", "change": "<sys_time/>", "advice": "", "settle": ""}
MATTERED = {
    "call": 'settimeofday("x")', "name": "settimeofday", "errno": "EPERM", "error": "Operation not permitted",
    "pid": 7, "program": "date", "times": 2, "mattered": True, "certain": True, "verdicts": [VERDICT],
}  # fmt: skip
OTHER = {**MATTERED, "call": "bpf()", "mattered": False, "times": 1, "verdicts": [VERDICT, VERDICT]}
TOLD = {"domain": "web", "status": 256, "refusals": [OTHER, MATTERED], "overlooked": 3, "silent": False}
HELD = {
    "domain": "web",
    "held_by": [{"layer": "limit of processes", "says": "5 of 20", "change": "<insula:pids limit=''/>", "refused": 3}],
}


class ExplainClient(ExecClient):
    """Its command ends with status 1, and has an explanation."""

    def __init__(self) -> None:
        super().__init__(256)
        self.flags = 0
        self.answers |= {Insula.EXEC_EXPLANATION: json.dumps(TOLD), Insula.DOMAIN_CONFINEMENT: json.dumps(HELD)}

    def answer(self, request: Request) -> Answer:
        if request.procedure is Insula.DOMAIN_EXEC:
            self.flags = request.arguments[2]
        return super().answer(request)


def run(client: ExplainClient, *words: str) -> int:
    options = options_of(explaincommand.ARGUMENTS["explain"], *words)
    return explaincommand.RUN["explain"](options, client.host)


def test_a_command_is_traced_and_what_mattered_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    client = ExplainClient()
    assert run(client, "web", "--", "date", "-s", "now") == 0
    told = capsys.readouterr().out
    assert client.flags == 2 and '["date", "-s", "now"]' in client.request
    assert "ended with status 1; 2 of its calls were refused" in told
    assert 'date[7]: settimeofday("x"): EPERM (Operation not permitted), 2 times' in told
    assert "refused by: capability" in told and "change: <sys_time/>" in told and "bpf" not in told


def test_all_that_failed_is_told_if_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ExplainClient(), "--all", "web", "--", "date") == 0
    told = capsys.readouterr().out
    assert "bpf()" in told and "(possibly, 2)" in told and "3 more that came before" in told


def test_one_document_holds_all_and_the_commands_words_go_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ExplainClient(), "--json", "web", "--", "date") == 0
    assert json.loads(capsys.readouterr().out) == TOLD


def test_without_a_command_what_holds_the_guest_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ExplainClient(), "web") == 0
    told = capsys.readouterr().out
    assert "limit of processes:" in told and "said no 3 times" in told and "<insula:pids" in told
    assert run(ExplainClient(), "web", "--json") == 0
    assert json.loads(capsys.readouterr().out) == HELD


def test_ends_are_told_in_words() -> None:
    def first(status: int | None) -> str:
        return next(line for line in explanation_lines({**TOLD, "status": status}, everything=False) if line)

    assert first(0).startswith("the command succeeded")
    none = next(line for line in explanation_lines({**TOLD, "refusals": []}, everything=False) if line)
    assert none.endswith("; none of its calls was refused")
    assert first(None).startswith("how the command ended is not known")
    assert "signal 9" in first(9)


def test_nothing_that_mattered_points_to_all() -> None:
    lines = list(explanation_lines({**TOLD, "refusals": [OTHER]}, everything=False))
    assert "--all" in lines[-1]
    assert list(confinement_lines([])) == []
