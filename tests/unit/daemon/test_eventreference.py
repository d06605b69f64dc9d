"""The reference of events."""

from pathlib import Path

import pytest

from insula.daemon import eventreference
from insula.daemon.eventreference import NEVER, PAGE, SENT, with_tables
from insula.daemon.subscriptions import DOMAIN, ROWS
from insula.rpc.codes.eventcodes import DomainEventId

CHECKOUT = Path(__file__).parents[3]


def test_what_is_committed_is_what_the_tables_say() -> None:
    text = (CHECKOUT / PAGE).read_text()
    assert text == with_tables(text), "run scripts/build-reference and commit what it wrote"


def test_every_event_is_said_to_be_sent_if_it_is_and_else_why_it_never_is() -> None:
    assert set(SENT) == {row.id for row in ROWS.values() if row.noun == DOMAIN}
    assert SENT.keys() | NEVER.keys() == set(DomainEventId) and not SENT.keys() & NEVER.keys()


def test_the_script_writes_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / PAGE).parent.mkdir(parents=True)
    (tmp_path / PAGE).write_text((CHECKOUT / PAGE).read_text().replace("| `reboot` |", "| `boots` |"))
    monkeypatch.setattr("sys.argv", ["eventreference", str(tmp_path)])
    eventreference.main()
    eventreference.main()
    assert (tmp_path / PAGE).read_text() == (CHECKOUT / PAGE).read_text()
    assert capsys.readouterr().out == f"{PAGE}\n"
