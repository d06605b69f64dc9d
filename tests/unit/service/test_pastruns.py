"""How runs ended is known to the next daemon too, and of a domain that is no more to nobody."""

import signal
from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import OperationFailedError
from insula.service.pastruns import NOTHING, PastRuns, oom_kills_in
from insula.service.runrecord import RunPhase, RunRecord, StopReason

WEB, MAIL = UUID(int=1), UUID(int=2)


def record(uuid: UUID = WEB) -> RunRecord:
    return RunRecord(uuid=uuid, name="web", boot_id="b", phase=RunPhase.RUNNING, begun=1000.0)


def test_an_end_is_known_to_the_next_daemon(tmp_path: Path) -> None:
    past = PastRuns(tmp_path / "ends").ended(record(), StopReason.CRASHED, int(signal.SIGKILL), 2)
    later = PastRuns(tmp_path / "ends")
    assert later.of(WEB) is NOTHING
    assert later.load(frozenset({WEB})) == {WEB: past} and later.of(WEB) == past
    assert past.end is not None
    told = past.end.described()
    assert (told["reason"], told["signal"], told["exit_status"], told["oom_kills"]) == ("crashed", 9, None, 2)
    assert told["out_of_memory"] and told["begun"] == 1_000_000_000_000 < told["ended"]


@pytest.mark.parametrize(
    ("reason", "status", "kills", "out_of_memory"),
    [
        (StopReason.CRASHED, 9, 1, True),
        (StopReason.CRASHED, 9, 0, False),
        (StopReason.CRASHED, 9 | 0x80, 1, True),
        (StopReason.CRASHED, 7 << 8, 1, False),
        (StopReason.DESTROYED, 9, 1, False),
        (StopReason.UNKNOWN, None, 1, False),
    ],
)
def test_out_of_memory_means_that_init_was_among_the_killed(
    tmp_path: Path, reason: StopReason, status: int | None, kills: int, out_of_memory: bool
) -> None:
    end = PastRuns(tmp_path).ended(record(), reason, status, kills).end
    assert end is not None and end.out_of_memory is out_of_memory


def test_why_a_start_failed_is_kept_beside_the_last_end_until_one_succeeds(tmp_path: Path) -> None:
    runs = PastRuns(tmp_path)
    runs.ended(record(), StopReason.SHUTDOWN, 0, 0)
    past = runs.failed(WEB, OperationFailedError("no bridge: [Errno 19] No such device"))
    assert past.failure is not None and past.failure.text == "no bridge: No such device" and past.end is not None
    assert PastRuns(tmp_path).load(frozenset({WEB}))[WEB] == past
    assert runs.started(WEB).failure is None
    assert PastRuns(tmp_path).load(frozenset({WEB}))[WEB].failure is None
    before = next(iter(tmp_path.iterdir())).stat().st_mtime_ns
    runs.started(WEB)
    runs.started(MAIL)
    assert next(iter(tmp_path.iterdir())).stat().st_mtime_ns == before


def test_nothing_is_kept_of_what_is_no_more(tmp_path: Path) -> None:
    runs = PastRuns(tmp_path)
    for uuid in (WEB, MAIL):
        runs.ended(record(uuid), StopReason.SHUTDOWN, 0, 0)
    runs.forget(WEB)
    assert runs.of(WEB) is NOTHING and [each.name for each in tmp_path.iterdir()] == [str(MAIL)]
    assert PastRuns(tmp_path).load(frozenset()) == {} and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"end": {"reason": "x"}, "failure": null}'])
def test_what_makes_no_sense_is_removed(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / str(WEB)).write_text(content)
    (tmp_path / "stranger").write_text("x")
    assert PastRuns(tmp_path).load(frozenset({WEB})) == {}
    assert list(tmp_path.iterdir()) == [] and "cannot be read" in caplog.text


def test_what_cannot_be_written_is_known_as_long_as_we_live(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    runs = PastRuns(tmp_path / "file" / "ends")
    past = runs.ended(record(), StopReason.SHUTDOWN, 0, 0)
    assert runs.of(WEB) == past and "is not written down" in caplog.text


def test_a_group_that_is_gone_has_killed_nobody_that_is_known() -> None:
    class Gone:
        @property
        def oom_kills(self) -> int:
            raise FileNotFoundError(2, "No such file or directory")

    assert oom_kills_in(Gone()) == 0  # type: ignore[arg-type]
