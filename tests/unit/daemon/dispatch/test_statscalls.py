"""Statistics' calling conventions: totals and single processors, counts and values, bulk in turns."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from insula.daemon.dispatch import statscalls as stats_handlers
from insula.errors import ArgumentUnsupportedError, InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.numbers import Affect, StatsTypes
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef as WireRef
from insula.service import bulkstats, statistics
from insula.service.domains import Domains
from insula.service.events import DomainIdentity, Events
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter
from insula.service.statistics import CpuStats
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, managed, parameter, services_of

DOM = WireRef("web", bytes(16), 1)


@dataclass(kw_only=True)
class Forty:
    """Forty domains with statistics that tell which call made them. turns: how many domains each call was about."""

    domains: Domains = field(default_factory=Domains)
    turns: list[int] = field(default_factory=list)
    groups: StatsTypes = StatsTypes.ALL
    told_apart: bool = True
    counted: dict[int, Any] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def counters(self, domains: Sequence[ManagedDomain], groups: StatsTypes) -> dict[int, Any]:
        self.asked.append(len(domains))
        return self.counted

    def __post_init__(self) -> None:
        for number in range(40):
            self.domains.add(managed(f"d{number}", UUID(int=number)))

    def cpu_stats(self, domain: ManagedDomain) -> CpuStats:
        return CpuStats(
            total=[parameter("cpu_time", 30), parameter("user_time", 20)],
            processors=4,
            each=[[parameter("cpu_time", 10 + cpu)] for cpu in range(4)] if self.told_apart else [],
        )

    def all_stats(
        self, domains: Sequence[ManagedDomain], groups: StatsTypes, gathered: bulkstats.Gathered
    ) -> Sequence[tuple[DomainIdentity, Sequence[Parameter]]]:
        assert gathered.counters is self.counted
        self.turns.append(len(domains))
        self.groups = groups
        return [(each.ref, [parameter("state.state", each.uuid.int)]) for each in domains]


def ask(forty: Forty, procedure: Procedure, *arguments: Any) -> Any:
    services = replace(services_of(FakeDomains(events=Events())), domains=forty.domains)
    with (
        patch.object(statistics, "cpu_stats", forty.cpu_stats),
        patch.object(bulkstats, "all_stats", forty.all_stats),
        patch.object(bulkstats, "counters", forty.counters),
    ):
        return answered(services, procedure, *arguments)


def cpu(*arguments: int) -> Any:
    return ask(Forty(), Remote.DOMAIN_GET_CPU_STATS, DOM, *arguments, 0)


def test_where_processors_are_not_told_apart_their_number_is_known_all_the_same() -> None:
    """What `virsh cpu-stats` asks on a host with cgroup v2."""

    def whole(*arguments: int) -> Any:
        return ask(Forty(told_apart=False), Remote.DOMAIN_GET_CPU_STATS, DOM, *arguments, 0)

    assert whole(0, 0, 0).nparams == 4
    assert (whole(0, 0, 1).params, whole(0, 0, 1).nparams) == ((), 0)
    assert (list(whole(2, 0, 4).params), whole(2, 0, 4).nparams) == ([], 0)
    with pytest.raises(InvalidArgumentError, match="larger than maximum of 3"):
        whole(0, 4, 1)


def test_totals_are_counted_and_then_given() -> None:
    assert (cpu(0, -1, 1).params, cpu(0, -1, 1).nparams) == ((), 2)
    assert [(each.field, each.value) for each in cpu(2, -1, 1).params] == [("cpu_time", 30), ("user_time", 20)]


def test_totals_are_of_all_processors_as_one() -> None:
    with pytest.raises(InvalidArgumentError):
        cpu(2, -1, 2)


def test_asked_for_nothing_of_no_processor_the_answer_is_how_many_there_are() -> None:
    assert cpu(0, 0, 0).nparams == 4


def test_asked_for_nothing_of_some_processors_the_answer_is_how_much_each_has() -> None:
    assert cpu(0, 0, 2).nparams == 1


def test_single_processors_are_given_one_behind_the_other_and_the_last_ones_may_be_missing() -> None:
    reply = cpu(1, 2, 128)
    assert ([each.value for each in reply.params], reply.nparams) == ([12, 13], 1)


def test_a_processor_beyond_the_last_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="larger than maximum of 3"):
        cpu(1, 4, 1)


def bulk(domains: Forty, refs: Sequence[WireRef] = (), stats: int = 0, flags: int = 0) -> Any:
    return ask(domains, Remote.CONNECT_GET_ALL_DOMAIN_STATS, refs, stats, flags).retStats


def test_bulk_statistics_are_read_in_turns_and_are_complete() -> None:
    domains = Forty()
    records = bulk(domains)
    assert [record.dom.name for record in records] == [f"d{number}" for number in range(40)]
    assert [record.params[0].value for record in records] == list(range(40))
    assert sum(domains.turns) == 40 and max(domains.turns) < 40
    assert domains.asked == [40], "the kernel is asked for all interfaces once"


def test_domains_that_vanish_are_left_out() -> None:
    asked = [WireRef("d1", UUID(int=1).bytes, 1), WireRef("gone", UUID(int=99).bytes, 5)]
    assert [record.dom.name for record in bulk(Forty(), asked)] == ["d1"]


def test_a_domain_that_is_named_again_and_again_is_read_once() -> None:
    domains = Forty()
    again = [WireRef("d1", UUID(int=1).bytes, 1)] * 16384
    assert [record.dom.name for record in bulk(domains, again)] == ["d1"]
    assert domains.turns == [1]


def test_reading_ends_when_the_answer_cannot_fit_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    domains = Forty()
    monkeypatch.setattr(stats_handlers, "LENGTH_MAX", 100)
    with pytest.raises(OperationFailedError, match="do not fit into an answer of 100 bytes"):
        bulk(domains)
    assert sum(domains.turns) < 40


def test_unknown_groups_are_refused_only_when_the_client_insists() -> None:
    domains = Forty()
    with pytest.raises(ArgumentUnsupportedError, match="0x40 "):
        bulk(domains, stats=0x41, flags=1 << 31)
    assert len(bulk(domains, stats=0x41)) == 40 and domains.groups == StatsTypes.STATE


def test_asked_only_for_what_nobody_has_the_records_are_empty() -> None:
    assert {record.params for record in bulk(Forty(), stats=0x40)} == {()}


def test_any_period_of_memory_statistics_is_accepted_but_one_before_now() -> None:
    services = services_of(FakeDomains(events=Events()))

    def period(seconds: int, flags: int) -> Any:
        reference = WireRef(WEB.name, WEB.uuid.bytes, -1)
        return answered(services, Remote.DOMAIN_SET_MEMORY_STATS_PERIOD, reference, seconds, flags)

    period(5, Affect.CONFIG)
    with pytest.raises(InvalidArgumentError, match="period"):
        period(-1, Affect.CONFIG)
    with pytest.raises(OperationInvalidError, match="not running"):
        period(5, Affect.LIVE)
