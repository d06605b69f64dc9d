"""Looks that visit a domain's guest: what is asked, and how what fails is told."""

import pytest

from insula.errors import OperationFailedError, OperationInvalidError
from insula.service.guestvisits import GuestVisits
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.visits import ScriptedLooker

pytestmark = pytest.mark.asyncio


async def test_a_guest_that_runs_is_visited_and_what_the_look_raises_names_the_domain(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    looker = ScriptedLooker({"one": 7, "two": OSError(5, "Input/output error", "/etc/x")})
    visits = GuestVisits(looker)
    with pytest.raises(OperationInvalidError, match="not running"):
        await visits.look(managed, "one", {})
    await rig.domains.start(managed.ref)
    assert await visits.look(managed, "one", {"points": ["/"]}) == 7
    assert looker.asked == [("one", {"points": ["/"]})]
    with pytest.raises(OperationFailedError, match="domain 'web' cannot be looked into: Input/output error"):
        await visits.look(managed, "two", {})


async def test_a_paused_guest_is_visited_only_where_it_may_stand_still(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.start(managed.ref)
    await rig.domains.suspend(managed.ref)
    visits = GuestVisits(ScriptedLooker({"one": 7}))
    with pytest.raises(OperationInvalidError, match="is paused"):
        await visits.look(managed, "one", {})
    assert await visits.look(managed, "one", {}, frozen=True) == 7
