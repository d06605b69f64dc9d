from typing import NamedTuple

import pytest

from insula.cli import setcommand
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import ParameterType
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


class UsageAnswer(NamedTuple):
    """What the daemon says a domain has and takes; memory in KiB."""

    state: int = 1
    maximum: int = 1 << 20
    memory: int = 0
    cpus: int = 1
    cpu_time: int = 0


def _client(*, active: int = 1, persistent: int = 1) -> FakeClient:
    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: active,
            Remote.DOMAIN_IS_PERSISTENT: persistent,
            Remote.DOMAIN_GET_INFO: UsageAnswer(),
            Remote.DOMAIN_SET_MEMORY_FLAGS: None,
            Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS: None,
            Remote.DOMAIN_SET_BLKIO_PARAMETERS: None,
            Remote.DOMAIN_SET_METADATA: None,
            Insula.DOMAIN_SET_LIMITS: None,
        }
    )


def _set(client: FakeClient, *words: str) -> FakeClient:
    assert setcommand.RUN["set"](options_of(setcommand.ARGUMENTS["set"], "web", *words), client.host) == 0
    return client


def test_memory_is_set_for_the_run_and_with_its_maximum_in_the_definition() -> None:
    both = _set(_client(), "-m", "512m").made(Remote.DOMAIN_SET_MEMORY_FLAGS)
    assert both == [(WEB, 512 * 1024, 2 | 4), (WEB, 512 * 1024, 3)]
    assert _set(_client(), "-m", "512m", "--live").made(Remote.DOMAIN_SET_MEMORY_FLAGS) == [(WEB, 512 * 1024, 1)]
    off = _set(_client(active=0), "-m", "2g").made(Remote.DOMAIN_SET_MEMORY_FLAGS)
    assert off == [(WEB, 2 << 20, 6), (WEB, 2 << 20, 2)]
    assert _set(_client(persistent=0), "-m", "1m").made(Remote.DOMAIN_SET_MEMORY_FLAGS) == [(WEB, 1024, 1)]


@pytest.mark.parametrize("memory", ["2g", "none"])
def test_a_run_gets_no_more_than_it_was_started_with_and_nothing_is_changed_then(memory: str) -> None:
    client = _client()
    with pytest.raises(OperationInvalidError, match="at most 1024 MiB; --config"):
        _set(client, "-m", memory)
    assert client.made(Remote.DOMAIN_SET_MEMORY_FLAGS) == []


def test_processor_time_is_a_quota_of_its_period() -> None:
    half = _set(_client(), "--cpus", "0.5").made(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS)
    assert half == [(WEB, [("vcpu_period", 4, 100_000), ("vcpu_quota", 3, 50_000)], 3)]
    none = _set(_client(), "--cpus", "none").made(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS)
    assert none == [(WEB, [("vcpu_quota", 3, -1)], 3)]
    with pytest.raises(InvalidArgumentError, match=r"such as 1\.5"):
        _set(_client(), "--cpus", "many")


def test_shares_weights_and_texts_are_set_together() -> None:
    client = _set(_client(), "--cpu-shares", "2048", "--io-weight", "500", "--title", "Web", "--description", "")
    assert client.made(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS) == [(WEB, [("cpu_shares", 4, 2048)], 3)]
    assert client.made(Remote.DOMAIN_SET_BLKIO_PARAMETERS) == [(WEB, [("weight", 2, 500)], 3)]
    assert client.made(Remote.DOMAIN_SET_METADATA) == [(WEB, 1, "Web", None, None, 3), (WEB, 0, None, None, None, 3)]


def test_nothing_to_set_is_wrong_usage() -> None:
    with pytest.raises(InvalidArgumentError, match="--memory"):
        _set(_client())


def test_processes_are_limited_by_a_call_of_ours() -> None:
    client = _set(_client(), "--pids", "100", "--live")
    assert client.made(Insula.DOMAIN_SET_LIMITS) == [(WEB, [("pids", ParameterType.UINT, 100)], 1)]
    client = _set(_client(), "--pids", "none", "--live")
    assert client.made(Insula.DOMAIN_SET_LIMITS) == [(WEB, [("pids", ParameterType.UINT, 0)], 1)]
