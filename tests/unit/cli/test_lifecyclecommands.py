import signal
from typing import NamedTuple

import pytest

from insula.cli import lifecyclecommands
from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    InvalidArgumentError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
)
from insula.model.numbers import ListDomains
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.blocking_domains import Domain
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

RUNNING, PAUSED = (1, 1), (3, 1)
"""States as the daemon tells them, with their reasons."""


class DomainList(NamedTuple):
    """What the daemon answers to a question for all domains."""

    domains: list[DomainRef]
    ret: int


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return lifecyclecommands.RUN[verb](options_of(lifecyclecommands.ARGUMENTS[verb], *words), client.host)


@pytest.mark.parametrize(
    ("text", "number"), [("TERM", 15), ("sigterm", 15), ("9", 9), ("RTMIN+3", int(signal.SIGRTMIN) + 3)]
)
def test_signals_are_read_by_name_and_number(text: str, number: int) -> None:
    assert lifecyclecommands.signal_number(text) == number


@pytest.mark.parametrize("text", ["", "FOO", "0", "999", "RTMIN+x"])
def test_bad_signals_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        lifecyclecommands.signal_number(text)


def test_one_failure_does_not_stop_the_others_and_decides_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    def start(found: DomainRef, _flags: int) -> DomainRef:
        if found.name == "a":
            raise OperationInvalidError("domain is already running")
        return found

    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: lambda name: DomainRef(name, bytes(16), -1),
            Remote.DOMAIN_CREATE_WITH_FLAGS: start,
        }
    )
    assert _run("start", client, "a", "b") == 3
    assert (
        len(client.made(Remote.DOMAIN_CREATE_WITH_FLAGS)) == 2
        and "a: domain is already running" in capsys.readouterr().err
    )


def test_stop_waits_until_it_does_not_run() -> None:
    active = iter([1, 1, 0])
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_SHUTDOWN_FLAGS: None,
            Remote.DOMAIN_GET_STATE: RUNNING,
            Remote.DOMAIN_IS_ACTIVE: lambda _: next(active),
        }
    )
    assert _run("stop", client, "web") == 0
    assert len(client.made(Remote.DOMAIN_IS_ACTIVE)) == 3


def test_a_guest_that_does_not_listen_is_killed_only_when_forced(capsys: pytest.CaptureFixture[str]) -> None:
    answers = {
        Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
        Remote.DOMAIN_SHUTDOWN_FLAGS: None,
        Remote.DOMAIN_GET_STATE: RUNNING,
        Remote.DOMAIN_IS_ACTIVE: 1,
        Remote.DOMAIN_DESTROY_FLAGS: None,
    }
    client = FakeClient(answers)
    assert _run("stop", client, "-t", "0", "web") == 7
    assert not client.made(Remote.DOMAIN_DESTROY_FLAGS) and "did not shut down" in capsys.readouterr().err
    assert _run("stop", client, "-t", "0", "-f", "web") == 0
    assert client.made(Remote.DOMAIN_DESTROY_FLAGS) == [(WEB, 0)]


@pytest.mark.parametrize("refusal", [OperationUnsupportedError("no way to ask"), OperationTimeoutError("it is deaf")])
def test_forced_a_domain_ends_also_if_it_cannot_be_asked(
    refusal: InsulaError, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_SHUTDOWN_FLAGS: refusal,
            Remote.DOMAIN_GET_STATE: RUNNING,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_DESTROY_FLAGS: None,
        }
    )
    assert _run("stop", client, "web") == refusal.exit_status and not client.made(Remote.DOMAIN_DESTROY_FLAGS)
    assert _run("stop", client, "-f", "web") == 0 and client.made(Remote.DOMAIN_DESTROY_FLAGS)
    client.answers[Remote.DOMAIN_IS_ACTIVE] = 0
    assert _run("stop", client, "-f", "web") == 0 and len(client.made(Remote.DOMAIN_DESTROY_FLAGS)) == 1


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_what_is_paused_is_not_waited_for(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_GET_STATE: PAUSED})
    assert _run(verb, client, "web") == 3
    assert "web: it is paused; resume it first" in capsys.readouterr().err


def test_forced_what_is_paused_is_killed() -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_GET_STATE: PAUSED,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_DESTROY_FLAGS: None,
        }
    )
    assert _run("stop", client, "-f", "web") == 0 and client.made(Remote.DOMAIN_DESTROY_FLAGS)


def test_a_transient_domain_that_is_gone_has_stopped() -> None:
    client = FakeClient({Remote.DOMAIN_IS_ACTIVE: DomainNotFoundError("gone")})
    assert lifecyclecommands.stopped(Domain(client.host.client, WEB))


def test_restart_waits_for_a_new_id() -> None:
    ids = iter([4711, -1, 5000])
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_REBOOT: None,
            Remote.DOMAIN_GET_STATE: RUNNING,
            Remote.DOMAIN_LOOKUP_BY_UUID: lambda _: WEB._replace(id=next(ids)),
        }
    )
    assert _run("restart", client, "web") == 0


def test_kill_destroys_or_signals_init() -> None:
    client = FakeClient(
        {Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_DESTROY_FLAGS: None, Remote.DOMAIN_SEND_PROCESS_SIGNAL: None}
    )
    assert _run("kill", client, "web") == 0 and client.made(Remote.DOMAIN_DESTROY_FLAGS) == [(WEB, 0)]
    assert _run("kill", client, "-s", "HUP", "web") == 0
    assert client.made(Remote.DOMAIN_SEND_PROCESS_SIGNAL) == [(WEB, 1, 1, 0)]


def test_pause_and_resume_freeze_and_thaw() -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_SUSPEND: None, Remote.DOMAIN_RESUME: None})
    assert _run("pause", client, "web") == 0 and client.made(Remote.DOMAIN_SUSPEND) == [(WEB,)]
    assert _run("resume", client, "web") == 0 and client.made(Remote.DOMAIN_RESUME) == [(WEB,)]


@pytest.mark.parametrize(
    ("verb", "done", "kind"),
    [
        ("start", Remote.DOMAIN_CREATE_WITH_FLAGS, ListDomains.INACTIVE),
        ("kill", Remote.DOMAIN_DESTROY_FLAGS, ListDomains.ACTIVE),
        ("pause", Remote.DOMAIN_SUSPEND, ListDomains.RUNNING),
        ("resume", Remote.DOMAIN_RESUME, ListDomains.PAUSED),
    ],
)
def test_all_means_those_that_the_verb_is_for(verb: str, done: Procedure, kind: ListDomains) -> None:
    both = [WEB, DomainRef("archive", bytes(16), 12)]
    client = FakeClient({Remote.CONNECT_LIST_ALL_DOMAINS: DomainList(both, 2), done: WEB})
    client.answers[done] = lambda found, *_: found
    assert _run(verb, client, "--all") == 0
    assert client.made(Remote.CONNECT_LIST_ALL_DOMAINS) == [(1, kind)]
    assert [each[0].name for each in client.made(done)] == ["archive", "web"]


@pytest.mark.parametrize("words", [(), ("--all", "web")])
def test_either_some_are_named_or_all_are_meant(words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="--all"):
        _run("pause", FakeClient({}), *words)
