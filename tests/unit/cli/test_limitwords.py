"""LIMIT=VALUE of `insula set`."""

import pytest

from insula.cli.limitwords import _ELSEWHERE, LIMIT_WORDS, SHOWN_WORDS, limit_changes
from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.rpc.procedures import Insula, Remote
from insula.service.blocktuning import BLKIO
from insula.service.cputuning import CPU
from insula.service.limitoverview import _UNITS
from insula.service.memorytuning import MEMORY
from insula.service.numatuning import NUMA
from insula.service.owntuning import OWN
from tests.unit.cli.fake_client import WEB, FakeClient

CALLS = (
    Remote.DOMAIN_SET_MEMORY_PARAMETERS,
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS,
    Remote.DOMAIN_SET_BLKIO_PARAMETERS,
    Insula.DOMAIN_SET_LIMITS,
)


def made(*settings: str) -> FakeClient:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB} | dict.fromkeys(CALLS))
    for change in limit_changes(client.host.domain("web"), settings):
        change(Affect.LIVE)
    return client


def test_there_is_a_word_for_each_parameter_of_each_family() -> None:
    parameters = {name for family in (CPU, MEMORY, NUMA, BLKIO, OWN) for name in family.table}
    assert set(LIMIT_WORDS) == parameters - {"cgroup"}


def test_those_of_one_family_go_in_one_call() -> None:
    client = made("pids=10", "cpu_idle=yes", "hard_limit=64m", "memory.oom.group=1", "memory.swappiness=none")
    assert client.made(Insula.DOMAIN_SET_LIMITS) == [
        (
            WEB,
            [
                ("pids", ParameterType.UINT, 10),
                ("cpu_idle", ParameterType.BOOLEAN, 1),
                ("cgroup", ParameterType.STRING, "memory.oom.group=1\nmemory.swappiness="),
            ],
            1,
        )
    ]
    assert client.made(Remote.DOMAIN_SET_MEMORY_PARAMETERS) == [(WEB, [("hard_limit", 4, 64 << 10)], 1)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("pids=none", 0), ("cpu_burst=", 0), ("zswap_limit=none", 9007199254740991), ("zswap_writeback=off", 0)],
)
def test_none_takes_a_limit_away_by_the_calls_own_word(setting: str, value: int) -> None:
    ((_, ((_, _, sent),), _),) = made(setting).made(Insula.DOMAIN_SET_LIMITS)
    assert sent == value


@pytest.mark.parametrize(
    ("setting", "why"),
    [("pids", "no LIMIT=VALUE"), ("pid=5", "there is no limit 'pid'"), ("pids=x", "no number"), ("cpu_idle=x", "yes")],
)
def test_what_is_no_limit_is_refused_before_anything_is_changed(setting: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        made("hard_limit=64m", setting)


def test_a_name_that_limits_shows_is_understood_or_answered_with_what_sets_it() -> None:
    assert set(SHOWN_WORDS.values()) <= set(LIMIT_WORDS) and not set(SHOWN_WORDS) & set(LIMIT_WORDS)
    ((_, values, _),) = made("cpu_quota=50000").made(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS)
    assert values == [("vcpu_quota", ParameterType.LLONG, 50000)]
    for name, instead in (("memory", "--memory"), ("cpus", "--vcpus"), ("groups", "not to be set")):
        with pytest.raises(InvalidArgumentError, match=instead):
            made(f"{name}=1")


def test_every_limit_of_which_there_is_one_can_be_set_by_the_name_it_is_shown_under() -> None:
    assert set(_UNITS) <= {*LIMIT_WORDS, *SHOWN_WORDS, *_ELSEWHERE}


@pytest.mark.parametrize("setting", ["pids=-1", "pids=99999999999999999999", "weight=-1", "vcpu_quota=-2"])
def test_a_number_that_no_call_has_room_for_is_refused_with_the_range(setting: str) -> None:
    with pytest.raises(InvalidArgumentError, match="give a number from"):
        made(setting)
