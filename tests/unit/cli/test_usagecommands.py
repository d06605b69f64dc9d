import json
import time

import pytest

from insula.cli import usagecommands
from insula.errors import InvalidArgumentError
from insula.model.numbers import ParameterType
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import TypedParameter
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return usagecommands.RUN[verb](options_of(usagecommands.ARGUMENTS[verb], *words), client.host)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    spent = iter(range(0, 100_000_000_000, 1_000_000_000))

    def statistics(*_: object) -> list[object]:
        values = {
            "cpu.time": next(spent), "balloon.rss": 2048, "net.0.rx.bytes": 10, "net.1.rx.bytes": 5,
            "net.0.tx.bytes": 7, "block.0.rd.bytes": 1, "block.0.wr.bytes": 1024,
        }  # fmt: skip
        return [(WEB, [TypedParameter(name, ParameterType.ULLONG, value) for name, value in values.items()])]

    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.CONNECT_GET_ALL_DOMAIN_STATS: statistics,
            Insula.DOMAIN_LIST: json.dumps([{"name": "web", "memory_limit": 1 << 29}]),
            Insula.DOMAIN_PROCESSES: json.dumps(
                [
                    {
                        "pid": 1, "host_pid": 77, "parent": None, "user": 0, "state": "S", "cpu_time": 1_500_000_000,
                        "memory": 1 << 20, "begun": 0, "command": "/sbin/init \x1b[6n",
                    }
                ]
            ),
        }
    )  # fmt: skip


def test_processes_are_listed_and_command_no_terminal(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("ps", client, "web") == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:4] == ["1", "0", "S", "1.0"] and line.endswith("/sbin/init \\x1b[6n")
    _run("ps", client, "web", "--format", "{host_pid} {cpu_time}")
    assert capsys.readouterr().out == "77 1500000000\n"


def test_statistics_sum_what_a_domain_has_several_of(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("stats", client, "web", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["received"], row["sent"], row["read"], row["written"]) == (15, 7, 1, 1024)
    assert row["memory"] == 2 << 20 and row["memory_limit"] == 1 << 29 and row["cpu"] > 0


def test_who_means_domains_by_ps_is_told_what_lists_them(client: FakeClient) -> None:
    with pytest.raises(InvalidArgumentError, match="insula ls"):
        _run("ps", client)
