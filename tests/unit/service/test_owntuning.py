"""Limits that libvirt has no call for."""

from dataclasses import replace

import pytest

from insula.engine.spec import Limits
from insula.errors import ArgumentUnsupportedError, InvalidArgumentError, OperationInvalidError
from insula.kernel.cgroups import GroupKey, HugePageLimit, MiscLimit
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType
from insula.service.owntuning import OWN
from insula.service.parameters import Parameter, Value
from insula.service.rundirectory import RunDirectory
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.limits import BOTH, group, of_kind, running, values

pytestmark = pytest.mark.asyncio


def parameters(**wanted: Value) -> list[Parameter]:
    return [Parameter(name, OWN.table[name], value) for name, value in wanted.items()]


async def test_processes_are_limited_in_the_run_and_in_the_definition(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    assert values(tuning.parameters(managed, OWN, Affect.CONFIG)) == {}
    await tuning.set_parameters(managed, OWN, of_kind(ParameterType.UINT, pids=100), BOTH)
    assert values(tuning.parameters(managed, OWN, Affect.LIVE))["pids"] == 100
    assert values(tuning.parameters(managed, OWN, Affect.CONFIG)) == {"pids": 100}
    await tuning.set_parameters(managed, OWN, of_kind(ParameterType.UINT, pids=50), Affect.CONFIG)
    assert managed.current.settings.pids_limit == 100 and managed.require_config().settings.pids_limit == 50


async def test_a_limit_of_processes_that_is_taken_away_is_the_usual_number(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    await tuning.set_parameters(managed, OWN, parameters(pids=100), BOTH)
    await tuning.set_parameters(managed, OWN, parameters(pids=0), BOTH)
    assert group(rig, ref).tasks.most in range(100, 16385)
    assert managed.current.settings.pids_limit is None and managed.require_config().settings.pids_limit is None


@pytest.mark.parametrize("pids", [2**22 + 1])
async def test_a_number_that_no_host_can_have_is_refused(rig: Rig, pids: int) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(InvalidArgumentError, match="1 to 4194304 processes"):
        await rig.domains.services.tuning.set_parameters(
            rig.domains.of(ref), OWN, of_kind(ParameterType.UINT, pids=pids), Affect.CONFIG
        )


EVERY: dict[str, Value] = {
    "cpu_burst": 20000,
    "cpu_idle": 1,
    "zswap_limit": 4096,
    "zswap_writeback": 0,
    "hugepages": "2048,8192",
    "misc": "sev,3",
    "cgroup": "memory.oom.group=1",
}
NONE: dict[str, Value] = {
    "cpu_burst": 0,
    "cpu_idle": 0,
    "zswap_limit": 9007199254740991,
    "zswap_writeback": 1,
    "hugepages": "2048,max",
    "misc": "sev,max",
    "cgroup": "memory.oom.group=",
}


async def test_each_is_set_live_and_for_good_shown_and_taken_away_again(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    before = group(rig, ref).limits()
    await tuning.set_parameters(managed, OWN, parameters(**EVERY), BOTH)
    for affect in (Affect.LIVE, Affect.CONFIG):
        shown = values(tuning.parameters(managed, OWN, affect))
        assert {name: shown.get(name) for name in EVERY} == EVERY
    assert DomainDefinition.load(managed.current.dump()).settings == managed.current.settings
    assert group(rig, ref).keys.texts["memory.oom.group"] == "1"

    await tuning.set_parameters(managed, OWN, parameters(**NONE), BOTH)
    assert group(rig, ref).limits() == before
    assert group(rig, ref).keys.texts["memory.oom.group"] == "0"
    assert values(tuning.parameters(managed, OWN, Affect.CONFIG)) == {}
    assert managed.require_run().container.record.spec.limits.keys == ()


async def test_those_of_several_that_are_not_named_stay(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    for text in ("2048,4096", "1048576,0"):
        await tuning.set_parameters(managed, OWN, parameters(hugepages=text), Affect.CONFIG)
    assert values(tuning.parameters(managed, OWN, Affect.CONFIG)) == {"hugepages": "2048,4096,1048576,0"}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"cpu_burst": 999}, "1000 to 1000000"),
        ({"zswap_limit": 2**63}, "at most"),
        ({"hugepages": "2MB,1"}, "no size of huge pages"),
        ({"hugepages": "2048"}, "no value of hugepages"),
        ({"misc": "sev,many"}, "no value of misc"),
        ({"device_latency": "sda,5"}, "such as /dev/sda"),
        ({"cgroup": "memory.oom.group"}, "KEY="),
        ({"cgroup": "cgroup.procs=1"}, "no control file of a limit"),
        ({"cgroup": "../memory.oom.group=1"}, "no control file of a limit"),
        ({"cgroup": "devices.allow=a"}, "no control file of a limit"),
        ({"cgroup": "memory.max=1"}, "take that"),
    ],
)
async def test_what_means_no_limit_is_refused_and_nothing_is_changed(
    rig: Rig, wrong: dict[str, Value], why: str
) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    before = managed.current
    with pytest.raises(InvalidArgumentError, match=why):
        await tuning.set_parameters(managed, OWN, parameters(**wrong), BOTH)
    assert (managed.current, group(rig, ref).keys.texts) == (before, {})


async def test_a_burst_above_the_quota_is_refused_before_anything_is_changed(rig: Rig) -> None:
    ref = await running(rig, "<cputune><quota>50000</quota></cputune>")
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    before = managed.current
    for affect in (Affect.CONFIG, BOTH):
        with pytest.raises(InvalidArgumentError, match="above the domain's quota of 50000"):
            await tuning.set_parameters(managed, OWN, parameters(cpu_burst=60000), affect)
    assert managed.current == before
    await tuning.set_parameters(managed, OWN, parameters(cpu_burst=50000), Affect.CONFIG)


async def test_a_name_that_is_no_limit_is_refused(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    wrong = [Parameter("cpu_brust", ParameterType.ULLONG, 1)]
    with pytest.raises(ArgumentUnsupportedError, match="'cpu_brust' not supported"):
        await rig.domains.services.tuning.set_parameters(rig.domains.of(ref), OWN, wrong, Affect.CONFIG)


async def test_what_the_host_has_not_is_refused_in_its_words_and_nothing_is_changed(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    with pytest.raises(OperationInvalidError, match=r"limit of huge pages: no such control file .hugetlb\.1GB\.max"):
        await tuning.set_parameters(managed, OWN, parameters(hugepages="1048576,0"), BOTH)
    assert managed.current.settings.huge_pages == managed.require_config().settings.huge_pages == ()


async def test_limits_that_were_put_and_never_counted_are_taken_back_by_the_next_daemon(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    await tuning.set_parameters(managed, OWN, parameters(misc="sev,3"), BOTH)
    put = Limits(
        huge_pages=(HugePageLimit(size=2 << 20, limit=0),),
        misc=(MiscLimit(name="sev", limit=9),),
        keys=(GroupKey(key="memory.oom.group", value="1"),),
    )
    RunDirectory(rig.layout).write(replace(managed.require_run().record, limiting=put))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: successor.domains.of(ref).require_run().record.limiting is None)
    keys = group(successor, ref).keys
    assert (keys.texts["hugetlb.2MB.max"], keys.texts["misc.max"]) == ("max", "sev 3")
    assert keys.texts["memory.oom.group"] == "0"
    await successor.close()
