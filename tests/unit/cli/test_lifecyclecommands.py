import signal
from typing import NamedTuple

import pytest

from insula.cli import lifecyclecommands
from insula.errors import (
    DomainNotFoundError,
    InvalidArgumentError,
    OperationInvalidError,
)
from insula.model.numbers import ListDomains
from insula.rpc.procedures import Insula, Procedure, Remote
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
            Remote.DOMAIN_LOOKUP_BY_NAME: lambda name: DomainRef(name, name.encode() * 16, -1),
            Remote.DOMAIN_CREATE_WITH_FLAGS: start,
        }
    )
    assert _run("start", client, "a", "b") == 3
    assert (
        len(client.made(Remote.DOMAIN_CREATE_WITH_FLAGS)) == 2
        and "a: domain is already running" in capsys.readouterr().err
    )


def test_what_is_paused_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_GET_STATE: PAUSED})
    assert _run("restart", client, "web") == 3
    assert "web: it is paused; resume it first" in capsys.readouterr().err


def test_a_domain_is_started_with_what_it_depends_on() -> None:
    answers = {Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Insula.DOMAIN_START_WITH_DEPENDENCIES: WEB}
    client = FakeClient(answers)
    assert _run("start", client, "--with-dependencies", "web") == 0
    assert client.made(Insula.DOMAIN_START_WITH_DEPENDENCIES) == [(WEB, 0)]


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


def test_reset_is_over_when_the_guest_runs_again() -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_RESET: None})
    assert _run("reset", client, "web") == 0
    assert client.made(Remote.DOMAIN_RESET) == [(WEB, 0)]


def test_a_domain_that_is_named_twice_is_reset_once() -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_RESET: None})
    assert _run("reset", client, "web", "web") == 0
    assert client.made(Remote.DOMAIN_RESET) == [(WEB, 0)]


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
