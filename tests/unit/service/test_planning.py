"""A plan that is only looked at: nothing is made, and nobody waits for it."""

import threading

import pytest

from insula.engine.spec import ContainerSpec
from insula.model.domain import DomainDefinition
from insula.service.translate import PidOf
from tests.unit.service.fakes import MAIL, Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_a_plan_is_told_without_making_anything(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    rig.changes.clear()
    await rig.domains.plan(ref)
    await rig.domains.plan_xml(domain_xml("mail", MAIL))

    assert rig.changes == []
    assert not rig.preparation.owns_storage(ref.uuid)
    assert [each.name for each in rig.domains.list()] == ["web"]


async def test_planning_does_not_hold_up_the_daemon(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await rig.domains.define(domain_xml())
    threads: list[int] = []
    rehearse = rig.preparation.rehearse

    def noted(domain: DomainDefinition, pid_of: PidOf) -> ContainerSpec:
        threads.append(threading.get_ident())
        return rehearse(domain, pid_of)

    monkeypatch.setattr(rig.preparation, "rehearse", noted)
    rig.changes.clear()
    await rig.domains.plan(ref)
    await rig.domains.plan_xml(domain_xml("mail", MAIL))

    assert len(threads) == 2
    assert threading.get_ident() not in threads
