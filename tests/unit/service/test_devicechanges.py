"""Devices come and go in definitions, and in running guests where these can take them."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.spec import Access, TmpfsMount
from insula.errors import (
    DeviceMissingError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    ResourceBusyError,
    UnsupportedConfigError,
    XmlError,
)
from insula.model.numbers import Affect
from insula.service.events import DeviceAdded, DeviceRemovalFailed, DeviceRemoved, DomainIdentity
from insula.service.rundirectory import RunDirectory
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.limits import BOTH

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


@pytest.mark.parametrize("affect", [Affect.LIVE, Affect.CURRENT, BOTH], ids=["live", "current", "both"])
async def test_a_running_guest_takes_a_file_system_and_gives_it_back(rig: Rig, affect: Affect) -> None:
    ref = await rig.domains.start(await defined(rig))
    before = (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True))
    rig.told.clear()
    await rig.domains.attach_device(ref, FILESYSTEM, affect)

    assert [each.target for each in guest_of(rig, ref).spec.mounts] == ["/cache"]
    assert "/cache" in rig.domains.dump_xml(ref)
    assert ("/cache" in rig.domains.dump_xml(ref, inactive=True)) == (affect == BOTH)
    await rig.domains.detach_device(ref, FILESYSTEM, affect)

    assert guest_of(rig, ref).spec.mounts == ()
    assert (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)) == before
    assert rig.told == [DeviceAdded(domain=ref, alias="fs1"), DeviceRemoved(domain=ref, alias="fs1")]


async def test_a_running_guest_takes_a_device_node_and_gives_it_back(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    full = HOSTDEV.replace("/dev/input/event3", "/dev/full")
    await rig.domains.attach_device(ref, full, Affect.LIVE)
    assert [(each.guest, each.minor) for each in guest_of(rig, ref).spec.devices] == [("full", 7)]
    await rig.domains.detach_device(ref, full, Affect.LIVE)
    assert guest_of(rig, ref).spec.devices == ()


async def test_what_the_host_has_not_changes_neither_guest_nor_definition(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    before = (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True))
    with pytest.raises(UnsupportedConfigError, match="the host has no device '/dev/no/such'"):
        await rig.domains.attach_device(ref, HOSTDEV.replace("/dev/input/event3", "/dev/no/such"), BOTH)
    assert (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)) == before


async def test_what_a_running_guest_cannot_take_says_so(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.attach_device(ref, FILESYSTEM, Affect.CONFIG)
    await rig.domains.start(ref)
    with pytest.raises(OperationUnsupportedError, match="/cache: only whether a directory of the host's is read-only"):
        await rig.domains.update_device(ref, FILESYSTEM.replace("<target", "<readonly/><target"), Affect.LIVE)
    await rig.domains.attach_device(ref, HOSTDEV.replace("/dev/input/event3", "/dev/full"), Affect.LIVE)
    with pytest.raises(OperationUnsupportedError, match=r"no hostdev can be updated while .* \(--config\)"):
        await rig.domains.update_device(ref, HOSTDEV.replace("/dev/input/event3", "/dev/full"), Affect.LIVE)
    with pytest.raises(OperationInvalidError, match="'/cache' is there already"):
        await rig.domains.attach_device(ref, FILESYSTEM, Affect.LIVE)


async def test_what_a_running_guest_uses_stays_and_the_event_says_so(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    full = HOSTDEV.replace("/dev/input/event3", "/dev/full")
    await rig.domains.attach_device(ref, full, BOTH)
    before = (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True))
    rig.told.clear()
    rig.looker.sights = [{"holders": [[1 << 30, "cat", "/dev/full is open"]], "below": 0}]
    with pytest.raises(ResourceBusyError, match=r"/dev/full of domain 'web' is in use: \d+ \(cat\): /dev/full is open"):
        await rig.domains.detach_device(ref, full, BOTH)
    assert (rig.domains.dump_xml(ref), rig.domains.dump_xml(ref, inactive=True)) == before
    assert rig.told == [DeviceRemovalFailed(domain=ref, alias="hostdev0")]
    managed = rig.domains.of(ref)
    await rig.domains.services.devices.detach_alias(managed, "hostdev0", Affect.LIVE, force=True)
    assert rig.told[1:] == [DeviceRemoved(domain=ref, alias="hostdev0")]
    assert "/dev/full" in rig.domains.dump_xml(ref, inactive=True)


async def test_a_device_is_known_by_the_alias_that_a_user_chose_for_good(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    named = FILESYSTEM.replace("</filesystem>", "<alias name='ua-cache'/></filesystem>")
    await rig.domains.attach_device(ref, named, BOTH)
    managed, devices = rig.domains.of(ref), rig.domains.services.devices
    other = named.replace("ua-cache", "ua-other")
    with pytest.raises(DeviceMissingError):
        await rig.domains.detach_device(ref, other, BOTH)
    for affect in (Affect.LIVE, Affect.CONFIG):
        await devices.detach_alias(managed, "ua-cache", affect)
        with pytest.raises(DeviceMissingError, match="no device found with alias 'ua-cache'"):
            await devices.detach_alias(managed, "ua-cache", affect)
    assert "/cache" not in rig.domains.dump_xml(ref) + rig.domains.dump_xml(ref, inactive=True)
    await rig.domains.attach_device(ref, named.replace("ua-cache", "mine"), Affect.LIVE)
    assert "<alias name='mine'/>" not in rig.domains.dump_xml(ref)
    with pytest.raises(DeviceMissingError):
        await devices.detach_alias(managed, "fs1", BOTH)
    assert "/cache" in rig.domains.dump_xml(ref)


@pytest.mark.parametrize("affect", [Affect.LIVE, BOTH], ids=["live", "both"])
async def test_a_directory_of_the_host_becomes_read_only_while_the_guest_runs(
    rig: Rig, tmp_path: Path, affect: Affect
) -> None:
    ref = await rig.domains.start(await defined(rig))
    shared = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/data'/></filesystem>"
    only_read = shared.replace("<target", "<readonly/><target")
    await rig.domains.attach_device(ref, shared, BOTH)
    rig.told.clear()
    await rig.domains.update_device(ref, only_read, affect)
    assert [each.access for each in guest_of(rig, ref).spec.mounts] == [Access.READ_ONLY]
    assert "<readonly/>" in rig.domains.dump_xml(ref)
    assert ("<readonly/>" in rig.domains.dump_xml(ref, inactive=True)) == (affect == BOTH)
    await rig.domains.update_device(ref, shared, affect)
    assert [each.access for each in guest_of(rig, ref).spec.mounts] == [Access.READ_WRITE]
    assert [type(each).__name__ for each in rig.told] == ["DeviceUpdated"] * 2
    with pytest.raises(OperationUnsupportedError, match="/data: only whether"):
        await rig.domains.update_device(ref, shared.replace(str(tmp_path), "/srv"), Affect.LIVE)


async def test_a_later_daemon_takes_back_what_a_guest_may_do_that_nobody_was_told_of(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.start(await defined(rig))
    shared = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/data'/></filesystem>"
    await rig.domains.attach_device(ref, shared, BOTH)
    run = rig.domains.of(ref).require_run()

    def write(record: ContainerRecord) -> None:
        RunDirectory(rig.layout).write(replace(run.record, container=record.encode(), attaching=True))

    await rig.engine.views.renew(run.container, "/data", write, access=Access.READ_ONLY)
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: [each.access for each in guest_of(successor, ref).spec.mounts] == [Access.READ_WRITE])
    assert "<readonly/>" not in successor.domains.dump_xml(ref)
    await successor.close()


async def test_aliases_of_what_comes_and_goes_are_never_two_devices(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    for target in ("/a", "/b"):
        await rig.domains.attach_device(ref, FILESYSTEM.replace("/cache", target), Affect.LIVE)
    await rig.domains.detach_device(ref, FILESYSTEM.replace("/cache", "/a"), Affect.LIVE)
    rig.told.clear()
    await rig.domains.attach_device(ref, FILESYSTEM, Affect.LIVE)
    assert rig.told == [DeviceAdded(domain=ref, alias="fs1")]


async def test_a_later_daemon_takes_back_what_nobody_was_told_of_and_tells_of_what_is_gone(
    rig: Rig, tmp_path: Path
) -> None:
    ref = await rig.domains.start(await defined(rig))
    await rig.domains.attach_device(ref, FILESYSTEM.replace("/cache", "/told"), Affect.LIVE)
    managed = rig.domains.of(ref)
    run = managed.require_run()

    def write(record: ContainerRecord) -> None:
        run.record = replace(run.record, container=record.encode(), attaching=True)
        RunDirectory(rig.layout).write(run.record)

    await rig.engine.mounts.attach(run.container, TmpfsMount(target="/untold"), write)
    told = managed.current.devices.filesystems
    gone = replace(told[-1], target=PurePosixPath("/gone"))
    devices = replace(managed.current.devices, filesystems=(*told, gone))
    RunDirectory(rig.layout).write_domain_or_owe(managed.uuid, replace(managed.current, devices=devices))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: len(guest_of(successor, ref).spec.mounts) == 1)

    assert [each.target for each in guest_of(successor, ref).spec.mounts] == ["/told"]
    await until(lambda: "/gone" not in successor.domains.dump_xml(ref))
    assert "/told" in successor.domains.dump_xml(ref)
    await successor.close()


def guest_of(rig: Rig, ref: DomainIdentity) -> ContainerRecord:
    return rig.domains.of(ref).require_run().container.record


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
