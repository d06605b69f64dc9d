"""Tests of insula.service.deviceusers."""

import pytest

from insula.errors import OperationFailedError, OperationTimeoutError, ResourceBusyError
from insula.service.deviceusers import DeviceUsers, Use, refusal
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_what_the_look_sees_is_told_in_words(rig: Rig) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    container = rig.domains.of(ref).require_run().container
    rig.looker.sights = [{"holders": [[1 << 30, "sleep", "its root"]], "below": 2}, OperationTimeoutError("slow")]
    users = DeviceUsers(rig.looker)
    use = await users.of_place(container, "/srv//data/")
    assert use == Use(who=(f"{1 << 30} (sleep): its root",), below=2)
    assert rig.looker.looks[-1][1]["place"] == "/srv/data"
    with pytest.raises(OperationFailedError, match=r"who uses /srv of web is not found out: .*slow"):
        await users.of_place(container, "/srv")


async def test_what_a_guest_calls_its_programs_and_files_commands_no_terminal(rig: Rig) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    container = rig.domains.of(ref).require_run().container
    rig.looker.sights = [{"holders": [[1 << 30, "a\x1b[2J", "/srv/\r\udcff is open"]], "below": 0}]
    use = await DeviceUsers(rig.looker).of_place(container, "/srv")
    assert use.who == (rf"{1 << 30} (a\u001b[2J): /srv/\u000d\udcff is open",)


async def test_the_refusal_names_who_uses_it_or_says_that_nobody_is_found(rig: Rig) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    container = rig.domains.of(ref).require_run().container
    told = refusal("the device /dev/a", container, Use(who=("7 (sh): its root", "8 (cat): /dev/a is open"), below=0))
    assert isinstance(told, ResourceBusyError)
    assert "the device /dev/a of domain 'web' is in use: 7 (sh): its root; 8 (cat): /dev/a is open; end" in str(told)
    assert "by no process that is to be found" in str(refusal("it", container, Use(who=(), below=0)))
