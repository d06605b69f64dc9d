"""Which USB devices domains get: those that are meant, and none twice."""

from dataclasses import replace
from uuid import uuid4

import pytest

from insula.errors import InvalidArgumentError, ResourceBusyError, UnsupportedConfigError
from insula.kernel.usbbus import UsbAddress
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect
from insula.service.events import DomainIdentity
from insula.service.usbchoice import address_of_node, has_usb, in_words, located_alone, usb_address
from tests.unit.service.fakes import WEB, Rig, domain_xml
from tests.unit.service.usbplugs import MOUSE, OPTIONAL, PLACED, UsbHost


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> UsbHost:
    return UsbHost(monkeypatch)


def with_devices(*xml: str, name: str = "web") -> DomainDefinition:
    return DomainDefinition.load(domain_xml(name).replace("<devices>", f"<devices>{''.join(xml)}"))


async def started(rig: Rig, *xml: str, name: str = "web") -> DomainIdentity:
    text = domain_xml(name, WEB if name == "web" else uuid4()).replace("<devices>", f"<devices>{''.join(xml)}")
    return await rig.domains.start(await rig.domains.define(text))


def nodes(rig: Rig, ref: DomainIdentity) -> list[str]:
    return [each.host for each in rig.domains.of(ref).require_run().container.record.spec.devices]


@pytest.mark.asyncio
async def test_a_start_finds_the_device_of_a_model_and_shows_where_it_is(rig: Rig, host: UsbHost) -> None:
    host.plug(3, vendor=0x1D6B, product=2)
    host.plug(4)
    ref = await started(rig, MOUSE)
    assert nodes(rig, ref) == ["/dev/bus/usb/001/004"]
    assert "device='4'" in rig.domains.dump_xml(ref)
    defined = rig.domains.of(ref).require_config()
    (device,) = defined.devices.host_devices
    assert device.source.address is None


@pytest.mark.asyncio
async def test_a_device_is_one_domains_until_that_ends(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    web = await started(rig, MOUSE)
    for name, asked in (("mail", MOUSE), ("dns", PLACED.format(4))):
        with pytest.raises(ResourceBusyError, match="in use by domain 'web'"):
            await started(rig, asked, name=name)
    await rig.domains.destroy(web)
    db = await started(rig, MOUSE, name="db")
    assert nodes(rig, db) == ["/dev/bus/usb/001/004"]


@pytest.mark.asyncio
async def test_a_node_given_by_its_path_is_taken_as_well(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    path = "<hostdev mode='capabilities' type='misc'><source><char>/dev/bus/usb/001/004</char></source></hostdev>"
    await rig.domains.attach_device(await started(rig), path, Affect.LIVE)
    with pytest.raises(ResourceBusyError):
        await started(rig, MOUSE, name="db")


@pytest.mark.asyncio
async def test_a_device_is_attached_by_model_and_detached_by_model_or_place(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref = await started(rig)
    for gone in (MOUSE, PLACED.format(4)):
        await rig.domains.attach_device(ref, MOUSE, Affect.LIVE)
        assert nodes(rig, ref) == ["/dev/bus/usb/001/004"]
        await rig.domains.detach_device(ref, gone, Affect.LIVE)
        assert nodes(rig, ref) == []


@pytest.mark.asyncio
async def test_a_device_that_a_guest_has_lost_hinders_no_other(rig: Rig, host: UsbHost) -> None:
    host.plug(4)
    ref = await started(rig, MOUSE)
    host.pull(4)
    host.plug(5, product=1)
    await rig.domains.attach_device(ref, PLACED.format(5), Affect.LIVE)
    assert nodes(rig, ref) == ["/dev/bus/usb/001/005"]
    assert "0xc077" in rig.domains.dump_xml(ref)


def test_a_model_of_several_devices_does_not_say_which(host: UsbHost) -> None:
    host.plug(4)
    host.plug(5)
    with pytest.raises(InvalidArgumentError, match="bus='1' device='4', bus='1' device='5'"):
        located_alone(with_devices(MOUSE))
    both = located_alone(with_devices(PLACED.format(4), MOUSE))
    assert [usb_address(each) for each in both.devices.host_devices] == [
        UsbAddress(bus=1, device=4),
        UsbAddress(bus=1, device=5),
    ]


def test_what_is_not_there_is_refused_or_left_out_as_it_was_asked_for(host: UsbHost) -> None:
    with pytest.raises(UnsupportedConfigError, match="no USB device 046d:c077; plug it in"):
        located_alone(with_devices(MOUSE))
    with pytest.raises(UnsupportedConfigError, match="no USB device 001:004"):
        located_alone(with_devices(PLACED.format(4)))
    optional = PLACED.format(4).replace("<source>", "<source startupPolicy='optional'>")
    located = located_alone(with_devices(OPTIONAL, optional))
    assert [in_words(each) for each in located.devices.host_devices] == ["046d:c077"]


def test_a_device_of_another_model_at_the_address_is_not_meant(host: UsbHost) -> None:
    host.plug(4, product=1)
    both = MOUSE.replace("</source>", "<address bus='1' device='4'/></source>")
    with pytest.raises(UnsupportedConfigError, match="no USB device 046d:c077 at 001:004"):
        located_alone(with_devices(both))


def test_an_address_that_was_found_says_nothing_at_the_next_start(host: UsbHost) -> None:
    host.plug(4)
    live = located_alone(with_devices(MOUSE))
    host.pull(4)
    host.plug(6)
    again = located_alone(live)
    assert usb_address(again.devices.host_devices[0]) == UsbAddress(bus=1, device=6)
    assert located_alone(again) is again


def test_a_domain_without_usb_devices_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("insula.service.usbchoice.usb_devices")
    domain = with_devices()
    assert not has_usb(domain)
    assert located_alone(domain) is domain
    other = "<hostdev mode='capabilities' type='misc'><source><char>/dev/null</char></source></hostdev>"
    assert not has_usb(replace(with_devices(other)))


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/dev/bus/usb/001/012", UsbAddress(bus=1, device=12)),
        ("/dev/bus/usb/001", None),
        ("/dev/bus/usb/001/x", None),
        ("/srv/dev/bus/usb/001/012", None),
        ("/dev/null", None),
        ("", None),
    ],
)
def test_a_node_tells_whose_it_is(path: str, address: UsbAddress | None) -> None:
    assert address_of_node(path) == address


@pytest.mark.asyncio
async def test_nothing_is_kept_of_a_domain_that_does_not_run(rig: Rig, host: UsbHost) -> None:
    choice = rig.domains.wiring.usb_following._choice
    host.plug(4)
    ref = await started(rig, MOUSE, OPTIONAL.replace("c077", "c078"))
    assert (choice.concerned, list(choice._told)) == ({ref.uuid}, [ref.uuid])
    with pytest.raises(ResourceBusyError):
        await started(rig, MOUSE, name="mail")
    assert choice.concerned == {ref.uuid}
    await rig.domains.destroy(ref)
    assert (choice.concerned, choice._told, choice._chosen) == (set(), {}, {})
