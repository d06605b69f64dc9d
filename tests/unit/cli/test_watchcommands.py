import json
import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from insula.cli import watchcommands
from insula.cli.watchcommands import described, ending
from insula.errors import OperationFailedError, OperationTimeoutError
from insula.rpc.connection import Notification
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.sdk.blocking import Pending
from insula.sdk.blocking_domains import Domain
from insula.sdk.conversation import Answer, Request
from insula.sdk.values import Outcome
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


def _message(procedure: Procedure, *values: Any) -> Notification:
    return Notification(procedure, procedure.arguments.unpack(procedure.arguments.pack(values)))


MESSAGES = [
    (_message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 1, (WEB, 5, 2)), "stopped", {"detail": "crashed"}),
    (_message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 1, (WEB, 7, 0)), "pmsuspended", {}),
    (_message(Remote.DOMAIN_EVENT_CALLBACK_REBOOT, 1, (WEB,)), "reboot", {}),
    (_message(Remote.DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE, 1, (WEB, 1024)), "balloon change", {"memory": 1 << 20}),
    (_message(Remote.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED, 1, WEB, "fs1"), "device added", {"device": "fs1"}),
    (
        _message(Remote.DOMAIN_EVENT_CALLBACK_TUNABLE, 1, WEB, [("cputune.cpu_shares", 4, 7)]),
        "tunable",
        {"cputune.cpu_shares": 7},
    ),
    (_message(Remote.DOMAIN_EVENT_MEMORY_FAILURE, 1, WEB, 1, 2, 0), "memory failure", {"fatal": True}),
    (_message(Remote.DOMAIN_EVENT_VCPU_REMOVED, 1, WEB, 2), "vcpu removed", {"vcpu": 2}),
    (_message(Remote.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE, 1, WEB, 1, None), "metadata change", {"kind": "title"}),
]


@pytest.mark.parametrize(("message", "event", "details"), MESSAGES, ids=[each[1] for each in MESSAGES])
def test_every_message_is_told_in_words(message: Notification, event: str, details: dict[str, Any]) -> None:
    told = described(message)
    assert told is not None and (told["domain"], told["event"], told["details"]) == ("web", event, details)


def test_what_only_a_newer_daemon_knows_is_left_out() -> None:
    assert described(_message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 1, (WEB, 99, 0))) is None


class _Events(FakeClient):
    """A daemon that tells these messages, and then none."""

    def next_message(self, timeout: float | None) -> Notification | None:
        del timeout
        return next(self.messages, None)

    messages: Iterator[Notification] = iter(())


def _watched(*words: str) -> _Events:
    client = _Events({Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: 1, Remote.DOMAIN_LOOKUP_BY_NAME: WEB})
    client.messages = iter([each[0] for each in MESSAGES])
    options = options_of(watchcommands.ARGUMENTS["events"], *words)
    assert watchcommands.RUN["events"](options, client.host) == 0
    return client


def test_events_are_told_until_there_are_enough_or_none_comes(capsys: pytest.CaptureFixture[str]) -> None:
    _watched("-n", "2")
    lines = capsys.readouterr().out.splitlines()
    assert [each.split("  ", 1)[1] for each in lines] == ["web  stopped  detail=crashed", "web  pmsuspended"]
    client = _watched("web", "-t", "1", "--json")
    assert [json.loads(each)["event"] for each in capsys.readouterr().out.splitlines()] == [
        each[1] for each in MESSAGES
    ]
    registered = client.made(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)
    assert registered == [(each, WEB) for each in watchcommands.WATCHED]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("shutdown", 0), "shutdown, status 0"),
        (Outcome("crashed", 9), "crashed, signal 9"),
        (Outcome("unknown", None), "unknown"),
    ],
)
def test_an_end_is_told_with_how_init_ended(outcome: Outcome, words: str) -> None:
    assert ending(outcome) == words


def test_waiting_for_the_end_prints_how_it_came_and_has_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB})
    over = [True]
    pending = SimpleNamespace(done=lambda: over[0], result=lambda: Outcome("shutdown", 0))
    real = cast("Any", client)
    real.begin = lambda _: pending
    real.wait_for = lambda ready, _: ready()

    def wait(*words: str) -> int:
        return watchcommands.RUN["wait"](options_of(watchcommands.ARGUMENTS["wait"], *words), client.host)

    assert wait("web", "web") == 0
    assert capsys.readouterr().out == "web: shutdown, status 0\n" * 2
    over[0] = False
    assert wait("-t", "0", "web") == 7
    assert capsys.readouterr().err == "insula: web: it has not ended in time\n"


@pytest.mark.parametrize(
    ("reason", "status", "words"),
    [
        ("shutdown", 2, "shutdown"),
        ("rebooted", 1, "rebooted"),
        ("destroyed", 9, "destroyed"),
        ("shutdown", 0, "shutdown, status 0"),
        ("crashed", 9, "crashed, signal 9"),
        ("shutdown", None, "shutdown"),
    ],
)
def test_a_signal_that_every_such_end_has_is_not_told(reason: str, status: int | None, words: str) -> None:
    assert watchcommands.ending(Outcome(reason, status)) == words


def _boot(monkeypatch: pytest.MonkeyPatch, init: str, *states: str, deadline: float | None = None) -> str:
    told = iter(states)
    monkeypatch.setattr(watchcommands, "_system_state", lambda *_: next(told))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    client = FakeClient({Insula.DOMAIN_INFO: json.dumps({"run": {"init": init}})})
    return watchcommands._booted(client.host, Domain(client.host.client, WEB), deadline)


def test_a_guest_with_systemd_is_up_when_systemd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _boot(monkeypatch, "systemd", "", "initializing", "starting", "running") == "running"
    assert _boot(monkeypatch, "systemd", "degraded") == "degraded"
    assert _boot(monkeypatch, "busybox") == "running"


def test_a_guest_that_goes_down_instead_or_not_up_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperationFailedError, match="'stopping'"):
        _boot(monkeypatch, "systemd", "starting", "stopping")
    with pytest.raises(OperationTimeoutError, match="'not begun'"):
        _boot(monkeypatch, "systemd", "", "starting", deadline=0.0)


class StuckClient(FakeClient):
    """What it executes never ends, though it is killed."""

    def answer(self, request: Request) -> Answer:
        if request.procedure is Insula.DOMAIN_EXEC:
            return Answer((7, 4712), (), None)
        return super().answer(request)

    def begin(self, _: object) -> Pending[int]:
        return Pending(lambda: False, lambda: pytest.fail("waits without end"))

    def wait_for(self, ready: Callable[[], bool], _: float) -> bool:
        return ready()


def test_a_guest_that_keeps_what_was_killed_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    client = StuckClient({Insula.DOMAIN_INFO: json.dumps({"run": {"init": "systemd"}}), Insula.EXEC_SIGNAL: None})
    with pytest.raises(OperationTimeoutError, match="'not begun'"):
        watchcommands._booted(client.host, Domain(client.host.client, WEB), 0.0)
    assert client.made(Insula.EXEC_SIGNAL) == [(7, signal.SIGKILL)]
