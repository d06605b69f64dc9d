"""Devices come and go in definitions; a running guest says that it cannot take them yet."""

import pytest

from insula.errors import (
    DeviceMissingError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    UnsupportedConfigError,
    XmlError,
)
from insula.model.numbers import Affect
from insula.service.events import DomainIdentity
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio
MAC = "52:54:00:11:22:33"
INTERFACE = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/></interface>"
FILESYSTEM = "<filesystem type='ram'><source usage='1024' units='KiB'/><target dir='/cache'/></filesystem>"
DISK = "<disk type='block'><source dev='/dev/sdz'/><target dev='sda'/></disk>"
HOSTDEV = "<hostdev mode='capabilities' type='misc'><source><char>/dev/input/event3</char></source></hostdev>"


async def defined(rig: Rig) -> DomainIdentity:
    return await rig.domains.define(domain_xml())


@pytest.mark.parametrize(
    ("xml", "taken", "absent"),
    [
        (INTERFACE, OperationInvalidError, DeviceMissingError),
        (FILESYSTEM, OperationInvalidError, DeviceMissingError),
        (DISK, InvalidArgumentError, InvalidArgumentError),
        (HOSTDEV, InvalidArgumentError, InvalidArgumentError),
    ],
    ids=["interface", "filesystem", "disk", "hostdev"],
)
async def test_a_device_is_attached_once_and_detached_once(
    rig: Rig, xml: str, taken: type[Exception], absent: type[Exception]
) -> None:
    ref = await defined(rig)
    before = rig.domains.dump_xml(ref)
    await rig.domains.attach_device(ref, xml, Affect.CONFIG)
    assert rig.domains.dump_xml(ref) != before
    with pytest.raises(taken, match="is there already"):
        await rig.domains.attach_device(ref, xml, Affect.CONFIG)

    await rig.domains.detach_device(ref, xml, Affect.CONFIG)

    assert rig.domains.dump_xml(ref) == before
    with pytest.raises(absent, match="there is no such device with the "):
        await rig.domains.detach_device(ref, xml, Affect.CONFIG)


async def test_an_update_replaces_the_device_in_its_place(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.attach_device(ref, INTERFACE, Affect.CONFIG)
    await rig.domains.update_device(ref, INTERFACE.replace("br0", "br1"), Affect.CONFIG)

    text = rig.domains.dump_xml(ref)
    assert "bridge='br1'" in text
    assert "bridge='br0'" not in text
    with pytest.raises(DeviceMissingError):
        await rig.domains.update_device(ref, INTERFACE.replace(MAC, "52:54:00:11:22:44"), Affect.CONFIG)


ANY = "<interface type='bridge'><source bridge='br1'/></interface>"


async def test_an_interface_without_an_address_means_the_only_one(rig: Rig) -> None:
    ref = await defined(rig)
    with pytest.raises(DeviceMissingError, match=r"there is no such device$"):
        await rig.domains.detach_device(ref, ANY, Affect.CONFIG)
    before = rig.domains.dump_xml(ref)
    await rig.domains.attach_device(ref, INTERFACE, Affect.CONFIG)
    await rig.domains.update_device(ref, ANY, Affect.CONFIG)
    updated = rig.domains.dump_xml(ref)
    assert MAC in updated and "bridge='br1'" in updated and "bridge='br0'" not in updated

    await rig.domains.attach_device(ref, ANY, Affect.CONFIG)
    for verb in (rig.domains.detach_device, rig.domains.update_device):
        with pytest.raises(OperationFailedError, match="multiple matching devices found"):
            await verb(ref, ANY, Affect.CONFIG)
    await rig.domains.detach_device(ref, INTERFACE, Affect.CONFIG)
    await rig.domains.detach_device(ref, ANY, Affect.CONFIG)

    assert rig.domains.dump_xml(ref) == before


async def test_interfaces_without_an_address_get_one_each(rig: Rig) -> None:
    ref = await defined(rig)
    for _ in range(2):
        await rig.domains.attach_device(ref, "<interface type='bridge'><source bridge='b'/></interface>", Affect.CONFIG)

    assert rig.domains.dump_xml(ref).count("<mac address=") == 2


async def test_a_running_guest_takes_no_device_yet_and_its_definition_does(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    for affect in (Affect.LIVE, Affect.CURRENT, Affect.LIVE | Affect.CONFIG):
        with pytest.raises(OperationUnsupportedError, match="--config"):
            await rig.domains.attach_device(ref, FILESYSTEM, affect)
    assert "/cache" not in rig.domains.dump_xml(ref, inactive=True)

    await rig.domains.attach_device(ref, FILESYSTEM, Affect.CONFIG)

    assert "/cache" in rig.domains.dump_xml(ref, inactive=True)
    assert "/cache" not in rig.domains.dump_xml(ref)


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("<console type='pty'/>", UnsupportedConfigError),
        ("<graphics type='vnc'/>", UnsupportedConfigError),
        ("<interface type='bridge'/>", XmlError),
        ("<interface", XmlError),
        ("<filesystem type='mount'><target dir='relative'/></filesystem>", XmlError),
    ],
)
async def test_what_cannot_be_a_device_is_refused(rig: Rig, xml: str, error: type[Exception]) -> None:
    ref = await defined(rig)
    before = rig.domains.dump_xml(ref)
    with pytest.raises(error):
        await rig.domains.attach_device(ref, xml, Affect.CONFIG)
    assert rig.domains.dump_xml(ref) == before
