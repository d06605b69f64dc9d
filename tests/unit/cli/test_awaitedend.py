"""How a command ends is asked of the next daemon, if the one that was asked first goes."""

from pathlib import Path

import pytest

from insula.cli import awaitedend
from insula.cli.awaitedend import AwaitedEnd
from insula.errors import OperationFailedError
from insula.rpc.connection import Call
from insula.rpc.procedures import Insula
from insula.sdk.blocking import connect
from tests.fakeserver import FakeServer, FakeSession, replying
from tests.unit.sdk.answers import ANSWERS
from tests.waiting import until


def _silent(_session: FakeSession, _call: Call) -> None:
    """The command has not ended."""


def _receive_until_done(end: AwaitedEnd) -> None:
    def done() -> bool:
        if end.done():
            return True
        end.receive()
        return end.done()

    until(done, "the end being known")


def _lose(server: FakeServer, end: AwaitedEnd) -> None:
    server.sessions[-1].hang_up()

    def lost() -> bool:
        end.receive()
        return not end.sources

    until(lost, "the daemon being lost")


def test_the_end_is_told_by_the_daemon_that_was_asked(tmp_path: Path) -> None:
    with (
        FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: replying(7 << 8)}) as server,
        connect(server.path) as client,
    ):
        end = AwaitedEnd(client, 17)
        assert end.patience is None and end.sources == [client]
        _receive_until_done(end)
        assert end.result() == 7 << 8
        end.close()


def test_the_end_is_told_by_the_next_daemon(tmp_path: Path) -> None:
    first = FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: _silent})
    with first, connect(first.path) as client:
        end = AwaitedEnd(client, 17)
        _lose(first, end)
        assert end.patience is not None and not end.done()
        end.signal(15)  # nobody is there who could send it
    first.path.unlink()
    with FakeServer(first.path, {**ANSWERS, Insula.EXEC_WAIT: replying(9)}):
        _receive_until_done(end)
        assert end.result() == 9
        end.close()


def test_without_a_next_one_the_loss_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaitedend, "NEXT_DAEMON_SECONDS", 0.0)
    server = FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: _silent})
    with server, connect(server.path) as client:
        end = AwaitedEnd(client, 17)
        _lose(server, end)
        with pytest.raises(OperationFailedError, match="no other came to tell how the command ends"):
            end.receive()
