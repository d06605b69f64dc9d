import dataclasses

from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, Stats, TaskUse


def test_a_reading_is_plain_numbers_that_survive_json() -> None:
    reading = Stats(
        memory=MemoryUse(
            usage=1,
            peak=None,
            limit=None,
            swap=0,
            anonymous=1,
            cache=0,
            inactive_cache=0,
            shared=0,
            unevictable=0,
            page_faults=3,
            major_faults=0,
        ),
        cpu=CpuUse(total=3, user=2, system=1),
        tasks=TaskUse(current=1, limit=None, refused=0),
        devices=(DeviceUse(major=8, minor=0, read_bytes=512),),
        oom_kills=0,
    )
    plain = dataclasses.asdict(reading)
    assert plain["cpu"]["per_cpu"] == ()
    assert plain["devices"][0] == {
        "major": 8,
        "minor": 0,
        "read_bytes": 512,
        "write_bytes": 0,
        "read_operations": 0,
        "write_operations": 0,
    }
