"""USB devices that are pulled out and plugged in elsewhere while guests run."""

import asyncio
from typing import Any

import pytest

from insula.model.numbers import Affect
from insula.service.events import DeviceAdded, DeviceRemoved, DomainIdentity
from insula.service.usbfollowing import UsbFollowing
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.usbplugs import MOUSE, OPTIONAL, PLACED, UsbHost

pytestmark = pytest.mark.asyncio


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> UsbHost:
    return UsbHost(monkeypatch)


async def begun(rig: Rig, *xml: str) -> tuple[DomainIdentity, UsbFollowing]:
    text = domain_xml().replace("<devices>", f"<devices>{''.join(xml)}")
    ref = await rig.domains.start(await rig.domains.define(text))
    following = rig.domains.wiring.usb_following
    following.begin()
    return ref, following


def nodes(rig: Rig, ref: DomainIdentity) -> list[str]:
    devices = rig.domains.of(ref).require_run().container.record.spec.devices
    return [each.host.rpartition("/")[2] for each in devices]


def told(rig: Rig, kind: type[DeviceAdded | DeviceRemoved]) -> list[str]:
    return [each.alias for each in rig.told if isinstance(each, kind)]


async def test_a_device_given_by_its_model_is_followed_and_its_going_and_coming_told(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref, following = await begun(rig, MOUSE)
    host.pull(4)
    host.plug(9)
    following.soon()
    await until(lambda: nodes(rig, ref) == ["009"])
    await until(lambda: "device='9'" in rig.domains.dump_xml(ref))
    await until(lambda: told(rig, DeviceAdded) == ["hostdev0"])
    assert told(rig, DeviceRemoved) == ["hostdev0"]
    assert "009" in str(rig.domains.of(ref).require_run().record.container)


async def test_one_that_is_gone_stays_wanted_and_comes_back(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref, following = await begun(rig, MOUSE)
    host.pull(4)
    following.soon()
    await until(lambda: nodes(rig, ref) == [])
    await until(lambda: "the host has no USB device 046d:c077" in "".join(rig.domains.of(ref).notices))
    assert "0xc077" in rig.domains.dump_xml(ref)
    host.plug(5)
    following.soon()
    await until(lambda: nodes(rig, ref) == ["005"])
    await until(lambda: not rig.domains.of(ref).notices)


async def test_one_given_by_its_address_is_gone_for_good(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref, following = await begun(rig, PLACED.format(4))
    host.pull(4)
    following.soon()
    await until(lambda: nodes(rig, ref) == [])
    await until(lambda: "hostdev" not in rig.domains.dump_xml(ref))
    assert "hostdev" in rig.domains.dump_xml(ref, inactive=True)


async def test_one_that_may_be_absent_comes(rig: Rig, host: UsbHost) -> None:
    ref, following = await begun(rig, OPTIONAL)
    assert rig.domains.of(ref).notices == ("the host has no USB device 046d:c077 yet",)
    host.plug(7)
    following.soon()
    await until(lambda: nodes(rig, ref) == ["007"])
    await until(lambda: not rig.domains.of(ref).notices)


async def test_one_that_is_attached_absent_is_told_until_it_is_taken_away(rig: Rig, host: UsbHost) -> None:
    ref, _ = await begun(rig)
    await rig.domains.attach_device(ref, OPTIONAL, Affect.LIVE)
    assert rig.domains.of(ref).notices == ("the host has no USB device 046d:c077 yet",)
    await rig.domains.detach_device(ref, OPTIONAL, Affect.LIVE)
    assert not rig.domains.of(ref).notices


async def test_nobody_is_asked_for_domains_that_have_none(
    rig: Rig, host: UsbHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("insula.service.usbchoice.usb_devices")
    ref, following = await begun(rig)
    following.soon()
    await rig.domains.destroy(ref)
    following.close()
    following.soon()


async def test_what_fails_is_told_and_the_device_stays(
    rig: Rig, host: UsbHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.plug(4)
    ref, following = await begun(rig, MOUSE)

    def none() -> list[object]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("insula.service.usbchoice.usb_devices", none)
    following.soon()
    await until(lambda: any("its USB devices stay" in each for each in rig.domains.of(ref).notices))
    assert nodes(rig, ref) == ["004"]


async def test_what_is_plugged_in_while_a_guest_starts_is_found_once_it_runs(rig: Rig, host: UsbHost) -> None:
    following = rig.domains.wiring.usb_following
    following.begin()
    ref = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{OPTIONAL}"))
    launch = rig.engine.launch

    async def slowly(*arguments: Any, **words: Any) -> Any:
        host.plug(7)
        following.soon()
        await until(lambda: following._due is None)
        return await launch(*arguments, **words)

    rig.engine.launch = slowly  # type: ignore[method-assign]
    await rig.domains.start(ref)
    await until(lambda: nodes(rig, ref) == ["007"])


async def test_whose_turn_has_not_come_gets_no_second_one(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref, following = await begun(rig, MOUSE)
    managed, held = rig.domains.of(ref), asyncio.Event()
    await until(lambda: following._due is None and not following._waiting)
    holding = asyncio.create_task(managed.lock.perform("a long verb", held.wait))
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())
    for _ in range(5):
        following.soon()
        await until(lambda: following._due is None)
    assert len(asyncio.all_tasks()) - before <= 4
    host.pull(4)
    held.set()
    await holding
    await until(lambda: nodes(rig, ref) == [] and not following._waiting)
