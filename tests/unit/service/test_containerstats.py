"""What only containers tell comes in keys of ours, with the kernel's figures, and only what there is."""

import pytest

from insula.kernel.cgroups.stats import Pressure, Stall, Stats
from insula.model.numbers import ParameterType, StatsTypes
from insula.testing.fakegroups import FakeGroup
from tests.unit.service.fakes import MAIL, Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_what_only_containers_tell_is_told_to_those_who_ask_for_it(rig: Rig) -> None:
    web = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml("mail", MAIL))

    def keys(groups: StatsTypes) -> set[str]:
        return {each.name.partition(".")[0] for _, told in rig.domains.all_stats(None, groups) for each in told}

    assert "insula" not in keys(StatsTypes.ALL)
    assert keys(StatsTypes.VM) == {"insula"}
    ((_, told),) = rig.domains.all_stats([web], StatsTypes.VM)
    values = {each.name: (each.kind, each.value) for each in told}
    assert values["insula.tasks.current"] == (ParameterType.ULLONG, 3)
    assert values["insula.frozen"] == (ParameterType.BOOLEAN, False)
    assert values["insula.io.wr.bytes"] == (ParameterType.ULLONG, 220)
    assert values["insula.cpu.nodes"] == (ParameterType.STRING, "0")
    assert "insula.tasks.limit" not in values, "a limit that is none has no number"


async def test_pressure_is_told_as_the_kernel_has_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Pressure(some=Stall(avg10=1.5, avg60=0.5, avg300=0.1, total=42), full=Stall(total=7))
    monkeypatch.setattr(FakeGroup, "pressure", lambda _, resource: waits if resource == "io" else None)
    ((_, told),) = rig.domains.all_stats([await rig.domains.create_xml(domain_xml())], StatsTypes.VM)
    found = {each.name: each.value for each in told if ".pressure." in each.name}

    assert found == {
        "insula.pressure.io.some.avg10": 1.5,
        "insula.pressure.io.some.avg60": 0.5,
        "insula.pressure.io.some.avg300": 0.1,
        "insula.pressure.io.some.total": 42,
        "insula.pressure.io.full.avg10": 0.0,
        "insula.pressure.io.full.avg60": 0.0,
        "insula.pressure.io.full.avg300": 0.0,
        "insula.pressure.io.full.total": 7,
    }


async def test_a_guest_that_ends_meanwhile_is_told_without_what_is_gone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: FakeGroup) -> Stats:
        raise FileNotFoundError(2, "no such control group")

    monkeypatch.setattr(FakeGroup, "stats", gone)
    ((_, told),) = rig.domains.all_stats([await rig.domains.create_xml(domain_xml())], StatsTypes.VM)
    assert [each.name for each in told] == ["insula.begun"]
