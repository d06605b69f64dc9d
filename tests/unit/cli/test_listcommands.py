import json
from typing import Any

import pytest

from insula.cli import listcommands
from insula.rpc.procedures import Insula
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of


def _told(name: str, state: int, **values: object) -> dict[str, object]:
    nothing = dict.fromkeys(listcommands.FIELDS)
    return nothing | {"name": name, "state": state, "addresses": [], "labels": {}} | values


def _listed(*words: str) -> FakeClient:
    web = _told(
        "web",
        1,
        id=4711,
        addresses=["fd00::2", "10.0.0.2"],
        memory=2 << 20,
        memory_limit=512 << 20,
        cpu_time=1_500_000_000,
        image="busybox",
    )
    client = FakeClient({Insula.DOMAIN_LIST: json.dumps([web, _told("archive", 5, memory_limit=512 << 20)])})
    assert listcommands.RUN["ls"](options_of(listcommands.ARGUMENTS["ls"], *words), client.host) == 0
    return client


def test_domains_are_listed_by_name_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    _listed()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["archive", "shut", "off", "-", "-", "-", "512.0", "MiB", "-", "-"]
    shown = "web running 4711 10.0.0.2 +1 2.0 MiB 512.0 MiB 1.5 s busybox"
    assert " ".join(lines[2].split()) == shown


def test_json_has_bytes_and_nanoseconds(capsys: pytest.CaptureFixture[str]) -> None:
    _listed("--json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert rows[1]["memory"] == 2048 * 1024 and rows[1]["cpu_time"] == 1_500_000_000 and rows[0]["id"] is None
    assert rows[1]["state"] == "running" and rows[1]["addresses"] == ["fd00::2", "10.0.0.2"]


def test_only_running_ones_are_asked_for_when_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    client = _listed("--running", "-q")
    assert client.made(Insula.DOMAIN_LIST) == [(1 | 1 << 16,)]
    assert capsys.readouterr().out.split() == ["archive", "web"]
    assert _listed("--all").made(Insula.DOMAIN_LIST) == [(1 << 16,)]
