"""Tests of insula.service.disks, over loop devices that are only pretended."""

from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.spec import Bytes, Device, DeviceKind
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError, OperationUnsupportedError
from insula.service import disks
from insula.service.disks import DiskSize, DiskVerbs
from insula.service.managed import ManagedDomain
from insula.service.statistics import number_of
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio

MIB = 1 << 20


async def running(rig: Rig, path: Path, kind: str = "file") -> ManagedDomain:
    """A domain with a disk, shown by a node of the numbers of /dev/null."""
    source = f"file='{path}'" if kind == "file" else "dev='/dev/null'"
    disk = f"<disk type='{kind}'><source {source}/><target dev='vda'/></disk>"
    ref = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{disk}"))
    managed = rig.domains.of(ref)
    await rig.domains.start(ref)
    container = managed.require_run().container
    shown = Device(
        kind=DeviceKind.BLOCK, major=1, minor=3, host="", guest="vda", image=str(path) if kind == "file" else None
    )
    container.record = replace(container.record, spec=replace(container.record.spec, devices=(shown,)))
    return managed


async def test_the_size_is_told_whether_the_guest_runs_or_not(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(MIB))
    managed = await running(rig, tmp_path / "disk")
    for path in ("vda", str(tmp_path / "disk")):
        size = await DiskVerbs().size(managed, path)
        assert (size.capacity, size.physical) == (MIB, MIB)
    await rig.domains.destroy(managed.ref)
    assert isinstance(await DiskVerbs().size(managed, "vda"), DiskSize)
    with pytest.raises(InvalidArgumentError, match="has no disk 'vdb'"):
        await DiskVerbs().size(managed, "vdb")
    (tmp_path / "disk").unlink()
    with pytest.raises(OperationFailedError, match=r"'vda' of domain 'web': .*No such file"):
        await DiskVerbs().size(managed, "vda")


async def test_an_image_becomes_larger_with_the_device_that_shows_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").write_bytes(bytes(MIB))
    managed, followed = await running(rig, tmp_path / "disk"), list[str]()
    assert number_of(managed, managed.current.devices.disks[0]) == (1, 3)
    monkeypatch.setattr(disks, "follow_size", followed.append)
    monkeypatch.setattr(disks, "loops_over", lambda path: [("/dev/zero", True), ("/dev/null", True)])
    await DiskVerbs().enlarge(managed, "vda", Bytes(MIB + 1))
    assert ((tmp_path / "disk").stat().st_size, followed) == (MIB + 512, ["/dev/null"])
    with pytest.raises(OperationUnsupportedError, match="would cut off what is there"):
        await DiskVerbs().enlarge(managed, "vda", Bytes(MIB))
    for size in ((1 << 63) - 511, (1 << 64) - 1, (1 << 64) * 1024):
        with pytest.raises(OperationUnsupportedError, match="no file has more than"):
            await DiskVerbs().enlarge(managed, "vda", Bytes(size))
    monkeypatch.setattr(disks, "loops_over", lambda path: [("/dev/null", False)])
    with pytest.raises(OperationUnsupportedError, match="or it is read-only"):
        await DiskVerbs().enlarge(managed, "vda", Bytes(2 * MIB))
    await rig.domains.destroy(managed.ref)
    with pytest.raises(OperationInvalidError):
        await DiskVerbs().enlarge(managed, "vda", Bytes(2 * MIB))
    assert (tmp_path / "disk").stat().st_size == MIB + 512


async def test_a_device_of_the_host_stays_as_large_as_it_is(rig: Rig, tmp_path: Path) -> None:
    managed = await running(rig, tmp_path, "block")
    with pytest.raises(OperationUnsupportedError, match="is a device of the host, which alone"):
        await DiskVerbs().enlarge(managed, "vda", Bytes(MIB))
