"""The list of a domain's limits."""

import json
from typing import Any

import pytest

from insula.cli import limitscommand
from insula.cli.limitscommand import amount
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

NOTHING: dict[str, Any] = {
    "unit": "",
    "configured": None,
    "in_force": None,
    "used": None,
    "events": {},
    "pressure": {},
    "lacking": "",
}
ROWS = [
    NOTHING
    | {"name": "memory", "unit": "bytes", "configured": 64 << 20, "in_force": 64 << 20, "used": 20 << 20}
    | {"events": {"max": 3, "oom_kill": 0}, "pressure": {"some": 1.5, "full": 0.0}},
    NOTHING | {"name": "cpu_idle", "in_force": False},
    NOTHING | {"name": "zswap", "unit": "bytes", "lacking": "cgroup v1 has no limit of zswap"},
    NOTHING | {"name": "cpu_burst", "unit": "microseconds", "configured": 20000},
]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Insula.DOMAIN_LIMITS: json.dumps(ROWS)})
    assert limitscommand.RUN["limits"](options_of(limitscommand.ARGUMENTS["limits"], "web", *words), client.host) == 0
    return capsys.readouterr().out


def test_people_are_shown_what_is_set_or_holds(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in shown(capsys).splitlines()]
    assert lines[1] == "memory 64.0 MiB 64.0 MiB 20.0 MiB some 1.5 % full 0.0 % max=3"
    assert [line.split()[0] for line in lines[1:]] == ["memory", "cpu_idle", "cpu_burst"]


def test_all_are_those_too_that_the_host_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert "zswap - cgroup v1 has no limit of zswap" in " ".join(shown(capsys, "--all").split())


def test_json_has_every_row_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "--json")) == ROWS


def test_amounts_are_written_for_people() -> None:
    assert (amount(None, "bytes"), amount(True, ""), amount(5, "microseconds"), amount("a\nb", "")) == (
        "-",
        "yes",
        "5 us",
        "a b",
    )
