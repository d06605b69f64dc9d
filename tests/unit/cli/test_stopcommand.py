"""Domains are asked to stop, in their order."""

from uuid import UUID

import pytest

from insula.cli import stopcommand
from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
)
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of
from tests.unit.cli.test_lifecyclecommands import PAUSED, RUNNING, DomainList


def _run(client: FakeClient, *words: str) -> int:
    return stopcommand.RUN["stop"](options_of(stopcommand.ARGUMENTS["stop"], *words), client.host)


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
    assert _run(client, "web") == 0
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
    assert _run(client, "-t", "0", "web") == 7
    assert not client.made(Remote.DOMAIN_DESTROY_FLAGS) and "did not shut down" in capsys.readouterr().err
    assert _run(client, "-t", "0", "-f", "web") == 0
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
    assert _run(client, "web") == refusal.exit_status and not client.made(Remote.DOMAIN_DESTROY_FLAGS)
    assert _run(client, "-f", "web") == 0 and client.made(Remote.DOMAIN_DESTROY_FLAGS)
    client.answers[Remote.DOMAIN_IS_ACTIVE] = 0
    assert _run(client, "-f", "web") == 0 and len(client.made(Remote.DOMAIN_DESTROY_FLAGS)) == 1


def test_forced_what_is_paused_is_killed() -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_GET_STATE: PAUSED,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_DESTROY_FLAGS: None,
        }
    )
    assert _run(client, "-f", "web") == 0 and client.made(Remote.DOMAIN_DESTROY_FLAGS)


def test_what_is_paused_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Remote.DOMAIN_GET_STATE: PAUSED})
    assert _run(client, "web") == 3
    assert "web: it is paused; resume it first" in capsys.readouterr().err


REFS = {name: DomainRef(name, name.encode().ljust(16), 1) for name in ("web", "app", "db", "off")}


def _several(order: str) -> FakeClient:
    """A daemon with four domains, one of which does not run."""
    off = {"off"}

    def shutdown(found: DomainRef, _: int) -> None:
        if found.name in off:
            raise OperationInvalidError("domain is not running")
        off.add(found.name)

    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: lambda name: REFS[name],
            Remote.CONNECT_LIST_ALL_DOMAINS: DomainList([REFS[each] for each in ("app", "db", "web")], 3),
            Remote.DOMAIN_SHUTDOWN_FLAGS: shutdown,
            Remote.DOMAIN_GET_STATE: RUNNING,
            Remote.DOMAIN_IS_ACTIVE: lambda found: found.name not in off,
            Insula.DOMAIN_STOP_ORDER: order,
        }
    )


def _asked(client: FakeClient) -> list[str]:
    return [each.name for each, _ in client.made(Remote.DOMAIN_SHUTDOWN_FLAGS)]


def test_all_stop_in_the_reverse_order_of_their_start() -> None:
    client = _several('[["web","app"],["db"]]')
    assert _run(client, "--all") == 0
    assert _asked(client) == ["web", "app", "db"]


def test_those_that_are_named_stop_in_order_too_and_one_that_does_not_run_stops_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = _several('[["web"],["app"],["db"]]')
    assert _run(client, "db", "off", "web") == 3
    assert _asked(client) == ["web", "db", "off"]
    assert "off: domain is not running" in capsys.readouterr().err


def test_one_that_is_not_there_is_told_and_the_others_stop(capsys: pytest.CaptureFixture[str]) -> None:
    client = _several('[["web"],["db"]]')
    client.answers[Remote.DOMAIN_LOOKUP_BY_NAME] = lambda name: REFS.get(name) or _missing()
    assert _run(client, "nobody", "db", "web") == 4
    assert _asked(client) == ["web", "db"] and "nobody: " in capsys.readouterr().err


def _missing() -> DomainRef:
    raise DomainNotFoundError("no such domain")


def test_the_next_are_asked_only_once_those_before_have_stopped_or_had_their_time() -> None:
    client = _several('[["web"],["db"]]')
    client.answers[Remote.DOMAIN_SHUTDOWN_FLAGS] = None
    client.answers[Remote.DOMAIN_IS_ACTIVE] = 1
    client.answers[Remote.DOMAIN_DESTROY_FLAGS] = None
    assert _run(client, "--time", "0", "--force", "db", "web") == 0
    ends = [
        each[0].name for row, each in client.calls if row in (Remote.DOMAIN_SHUTDOWN_FLAGS, Remote.DOMAIN_DESTROY_FLAGS)
    ]
    assert ends == ["web", "web", "db", "db"]


def test_a_domain_that_is_named_twice_stops_once(capsys: pytest.CaptureFixture[str]) -> None:
    active = iter([1, 0])
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_LOOKUP_BY_UUID: WEB,
            Insula.DOMAIN_STOP_ORDER: '[["web"]]',
            Remote.DOMAIN_SHUTDOWN_FLAGS: None,
            Remote.DOMAIN_GET_STATE: RUNNING,
            Remote.DOMAIN_IS_ACTIVE: lambda _: next(active),
        }
    )
    assert _run(client, "web", str(UUID(bytes=WEB.uuid))) == 0
    assert len(client.made(Remote.DOMAIN_SHUTDOWN_FLAGS)) == 1 and capsys.readouterr().err == ""
