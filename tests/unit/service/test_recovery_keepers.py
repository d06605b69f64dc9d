"""A new keeper is handed what it does not hold, and tells what ended while there was none."""

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Process
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_new_keeper_is_given_every_guest_that_it_does_not_hold(rig: Rig) -> None:
    await rig.domains.create_xml(domain_xml())
    await rig.domains.create_xml(domain_xml("mail", MAIL))
    rig.host.kill_keeper()

    for _ in range(2):
        await rig.domains.keeper_replaced()

    keeper = rig.host.start_keeper()
    assert keeper.holds == {str(WEB), str(MAIL)}
    assert keeper.asked.count(Verb.ADOPT) == 2, "it was given what it held"


async def test_a_guest_that_ended_while_its_keeper_was_out_of_reach_has_ended(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.host.kill_keeper()
    rig.end(WEB, 9)
    assert rig.domains.is_active(ref)
    await rig.domains.keeper_replaced()
    await until(lambda: not rig.domains.is_active(ref))


async def test_a_new_keeper_is_not_given_a_guest_whose_end_is_under_way(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    destroy = rig.engine.teardown.destroy

    async def destroy_meanwhile(running: Running) -> ExitStatus:
        rig.host.kill_keeper()
        await rig.domains.keeper_replaced()
        return await destroy(running)

    rig.engine.teardown.destroy = destroy_meanwhile  # type: ignore[method-assign]
    await rig.domains.destroy(ref)

    assert Verb.ADOPT not in rig.host.start_keeper().asked
    assert list(rig.domains.list()) == []


async def test_programs_in_guests_are_handed_to_a_new_keeper_too(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.execute(ref, Process(argv=("/bin/true",)), stdio=rig.streams())
    held = rig.host.start_keeper().entered
    rig.host.kill_keeper()
    await rig.domains.keeper_replaced()
    assert len(held) == 1
    assert rig.host.start_keeper().entered == held
