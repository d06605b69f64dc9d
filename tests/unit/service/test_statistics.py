"""What one domain uses."""

import re
from dataclasses import replace

import pytest

from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.kernel.cgroups.stats import DeviceUse, MemoryUse
from insula.kernel.mountinfo import mounts_in
from insula.model.numbers import MemoryStat
from insula.service import statistics
from insula.service.statistics import BlockStats, memory_tags, of_device, summed
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import group

pytestmark = pytest.mark.asyncio
DISK = "<devices><disk type='block'><source dev='/dev/sdz'/><target dev='sda'/></disk>"


async def test_processor_time_is_told_in_total_and_by_processor(rig: Rig) -> None:
    stats = rig.domains.cpu_stats(await rig.domains.create_xml(domain_xml()))

    assert {each.name: each.value for each in stats.total} == {
        "cpu_time": 3000,
        "user_time": 2000,
        "system_time": 1000,
    }
    assert [each[0].value for each in stats.each] == [2500, 500]
    assert stats.processors == 2


async def test_memory_is_told_as_a_balloon_would_tell_it(rig: Rig) -> None:
    stats = dict(rig.domains.memory_stats(await rig.domains.create_xml(domain_xml())))
    del stats[MemoryStat.LAST_UPDATE]

    assert stats == {
        MemoryStat.ACTUAL_BALLOON: 65536,
        MemoryStat.AVAILABLE: 65536,
        MemoryStat.UNUSED: 65536 - 20480,
        MemoryStat.USABLE: 65536 - 20480 + 12288,
        MemoryStat.RSS: 20480,
        MemoryStat.DISK_CACHES: 12288,
        MemoryStat.MAJOR_FAULT: 7,
        MemoryStat.MINOR_FAULT: 93,
    }


async def test_memory_beyond_the_balloon_leaves_nothing_unused() -> None:
    use = MemoryUse(
        usage=1 << 30,
        peak=None,
        limit=None,
        swap=None,
        anonymous=0,
        cache=0,
        inactive_cache=0,
        shared=0,
        unevictable=0,
        page_faults=1,
        major_faults=2,
    )
    tags = dict(memory_tags(use, 1024))

    assert tags[MemoryStat.UNUSED] == tags[MemoryStat.USABLE] == tags[MemoryStat.MINOR_FAULT] == 0


async def test_what_tmpfs_holds_is_neither_usable_nor_cache(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    group(rig, ref).memory.shared = 10 << 20
    stats = dict(rig.domains.memory_stats(ref))

    assert stats[MemoryStat.USABLE] == 65536 - 20480 + 2048
    assert stats[MemoryStat.DISK_CACHES] == 2048


async def test_block_traffic_is_told_for_one_disk_and_for_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "device_number", {"/dev/sdz": (8, 16)}.__getitem__)
    ref = await rig.domains.create_xml(domain_xml().replace("<devices>", DISK))
    one = BlockStats(read_requests=10, read_bytes=100, write_requests=20, write_bytes=200)

    assert rig.domains.block_stats(ref, "sda") == rig.domains.block_stats(ref, "/dev/sdz") == one
    assert rig.domains.block_stats(ref, "") == BlockStats(
        read_requests=11, read_bytes=110, write_requests=22, write_bytes=220
    )
    with pytest.raises(InvalidArgumentError, match="invalid path: domain 'web' has no disk 'sdb'"):
        rig.domains.block_stats(ref, "sdb")


async def test_a_root_that_is_an_image_is_told_by_the_loop_device_that_the_guests_mounts_name(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "device_number", {"/dev/loop3": (8, 16)}.__getitem__)
    image = "<disk type='file' device='disk'><source file='/vm.img'/><target dev='vda'/></disk>"
    machine = domain_xml().replace("<devices>", f"<devices>{image}").replace("exe</type>", "hvm</type>")
    ref = await rig.domains.create_xml(re.sub("<filesystem.*?</filesystem>", "", machine, flags=re.DOTALL))
    managed = rig.domains.of(ref)
    assert managed.current.root_disk is not None
    text = "30 1 0:9 / / rw - overlay /dev/sda rw\n31 1 7:3 / {} rw - ext4 /dev/loop3 rw\n"
    monkeypatch.setattr(statistics, "mounts_of_process", lambda _: list(mounts_in(text.format("/"))))
    assert rig.domains.block_stats(ref, "vda").read_bytes == 100
    monkeypatch.setattr(statistics, "mounts_of_process", lambda _: list(mounts_in(text.format("/mnt"))))
    with pytest.raises(InvalidArgumentError, match="the image below the root of domain 'web' cannot be found"):
        rig.domains.block_stats(ref, "vda")


async def test_an_unknown_interface_is_named(rig: Rig) -> None:
    with pytest.raises(InvalidArgumentError, match="has no interface 'vnet99'"):
        rig.domains.interface_stats(await rig.domains.create_xml(domain_xml()), "vnet99")


async def test_what_is_off_uses_nothing(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    for ask in (rig.domains.cpu_stats, rig.domains.memory_stats):
        with pytest.raises(OperationInvalidError, match="not running"):
            ask(ref)
    info = rig.domains.info(ref)
    assert (info.memory, info.maximum_memory, info.cpu_time, info.vcpus) == (65536, 65536, 0, 2)


async def test_info_of_what_runs_is_what_it_uses(rig: Rig) -> None:
    info = rig.domains.info(await rig.domains.create_xml(domain_xml()))

    assert (info.memory, info.cpu_time) == (20480, 3000)


async def test_what_passes_a_loop_device_and_the_disk_behind_it_counts_once() -> None:
    loop = DeviceUse(major=7, minor=3, read_bytes=900, write_bytes=100, read_operations=9, write_operations=1)
    disk = DeviceUse(major=254, minor=0, read_bytes=200, write_bytes=150, read_operations=2, write_operations=3)
    other = replace(disk, minor=16)
    assert summed([loop, disk]) == BlockStats(read_requests=9, read_bytes=900, write_requests=3, write_bytes=150)
    assert summed([disk, other]) == BlockStats(read_requests=4, read_bytes=400, write_requests=6, write_bytes=300)
    assert of_device([loop, disk], (7, 3)).read_bytes == 900
    assert summed([]) == BlockStats()
