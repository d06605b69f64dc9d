"""The verb top without a terminal: tables and JSON; how keys are told apart."""

import json
import time

import pytest

from insula.cli import topcommand
from insula.cli.topcommand import keys_in
from insula.errors import InvalidArgumentError
from insula.model.numbers import ParameterType
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import TypedParameter
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    told = [(WEB, [TypedParameter("balloon.rss", ParameterType.ULLONG, 2048)])]
    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.CONNECT_GET_ALL_DOMAIN_STATS: told,
            Insula.DOMAIN_LIST: json.dumps([{"name": "web", "memory_limit": 1 << 29}]),
        }
    )


def _top(client: FakeClient, *words: str) -> int:
    return topcommand.RUN["top"](options_of(topcommand.ARGUMENTS["top"], *words), client.host)


@pytest.mark.parametrize(
    ("words", "tables"), [((), 1), (("--once",), 1), (("-n", "3"), 3), (("--batch", "-n", "2"), 2), (("web",), 1)]
)
def test_without_a_terminal_there_are_as_many_tables_as_asked_for_else_one(
    client: FakeClient, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], tables: int
) -> None:
    assert _top(client, *words) == 0
    out = capsys.readouterr().out
    assert out.count("NAME") == out.count("web") == tables and "\x1b" not in out


def test_for_programs_there_is_json(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert _top(client, "--once", "--json") == 0
    ((row),) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["memory"], row["cpu"]) == ("web", 2 << 20, 0.0)


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_picture_at_all_is_refused(client: FakeClient, count: str) -> None:
    with pytest.raises(InvalidArgumentError, match="give 1 or more"):
        _top(client, "--count", count)


@pytest.mark.parametrize("delay", ["0", "-1", "nan", "1e9"])
def test_a_delay_that_makes_no_sense_is_refused(client: FakeClient, delay: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"give 0\.1 to 3600 seconds"):
        _top(client, "--once", "--delay", delay)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("qc", ["q", "c"]),
        ("\x1b[Aj", ["\x1b[A", "j"]),
        ("\x1b[5~", ["\x1b[5~"]),
        ("\x1bOA", ["\x1b[A"]),
        ("\x1b", ["\x1b"]),
        ("\x1b[", ["\x1b["]),
    ],
)
def test_keys_of_several_characters_are_one(typed: str, keys: list[str]) -> None:
    assert list(keys_in(typed)) == keys
