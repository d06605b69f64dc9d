"""A guest is dumped by the daemon, to where its client means."""

from pathlib import Path

import pytest

from insula.cli import dumpcommand
from insula.rpc.procedures import Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


def _run(client: FakeClient, *words: str) -> int:
    return dumpcommand.RUN["dump"](options_of(dumpcommand.ARGUMENTS["dump"], *words), client.host)


@pytest.mark.parametrize(("words", "flags"), [((), 0), (("--live",), 2), (("--crash",), 1), (("--reset",), 8)])
def test_a_dump_goes_where_the_caller_stands(
    words: tuple[str, ...], flags: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_CORE_DUMP: None})
    assert _run(client, *words, "web", "web.dump") == 0
    assert client.made(Remote.DOMAIN_CORE_DUMP) == [(WEB, f"{tmp_path}/web.dump", flags)]


def test_what_becomes_of_the_guest_is_one_thing() -> None:
    with pytest.raises(SystemExit):
        _run(FakeClient({}), "--live", "--crash", "web", "web.dump")
