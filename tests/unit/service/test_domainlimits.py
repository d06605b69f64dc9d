"""From a definition to a container's limits."""

from dataclasses import fields

import pytest

from insula.engine.spec import Bytes, Limits, Microseconds
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import BlockLimit, GroupKey, HugePageLimit, MiscLimit
from insula.model.domain import DomainDefinition
from insula.service import domainlimits
from insula.service.domainlimits import limits_of, overruled_limits
from tests.unit.service.fakes import domain_xml

DEVICE = "<device><path>/dev/sdz</path><weight>200</weight><read_bytes_sec>1000</read_bytes_sec></device>"
EVERYTHING = (
    "<memtune><hard_limit unit='MiB'>32</hard_limit><soft_limit unit='MiB'>16</soft_limit>"
    "<min_guarantee unit='MiB'>8</min_guarantee><swap_hard_limit unit='MiB'>64</swap_hard_limit></memtune>"
    "<cputune><shares>512</shares><global_period>50000</global_period><quota>25000</quota></cputune>"
    f"<numatune><memory nodeset='0'/></numatune><blkiotune><weight>300</weight>{DEVICE}</blkiotune>"
    "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'><i:pids limit='99'/>"
    "<i:cpu burst='20000' idle='yes'/><i:zswap limit='4' writeback='yes'/><i:latency device='/dev/sdz' target='500'/>"
    "<i:latency device='/dev/sdy' target='700'/><i:hugepages size='2048' limit='4096'/>"
    "<i:misc resource='sev' limit='3'/><i:cgroup key='memory.oom.group' value='1'/></i:domain></metadata>"
)


def domain(more: str = "") -> DomainDefinition:
    return DomainDefinition.load(domain_xml(more=more))


def test_limits_come_from_all_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domainlimits, "device_number", {"/dev/sdz": (8, 16), "/dev/sdy": (8, 0)}.__getitem__)

    found = limits_of(DomainDefinition.load(domain_xml(more=EVERYTHING).replace("<vcpu>", "<vcpu cpuset='0-2'>")))

    assert found == Limits(
        memory=Bytes(32 << 20),
        memory_soft=Bytes(16 << 20),
        memory_guarantee=Bytes(8 << 20),
        memory_and_swap=Bytes(64 << 20),
        cpu_shares=512,
        cpu_quota=Microseconds(25000),
        cpu_period=Microseconds(50000),
        memory_nodes="0",
        block_weight=300,
        block_devices=(
            BlockLimit(major=8, minor=16, weight=200, read_bytes=1000, latency=500),
            BlockLimit(major=8, minor=0, latency=700),
        ),
        pids=99,
        cpu_burst=Microseconds(20000),
        cpu_idle=True,
        zswap=Bytes(4096),
        zswap_writeback=True,
        huge_pages=(HugePageLimit(size=2 << 20, limit=4 << 20),),
        misc=(MiscLimit(name="sev", limit=3),),
        keys=(GroupKey(key="memory.oom.group", value="1"),),
    )
    others = [each.name for each in fields(Limits) if each.name != "cpus"]  # which are chosen
    assert all(getattr(found, name) for name in others), "a limit of the engine's that no definition has"


def test_a_lower_current_memory_is_the_limit() -> None:
    assert limits_of(domain("<currentMemory>4096</currentMemory>")).memory == 4096 * 1024


def test_what_a_definition_does_not_say_is_left_to_the_engine() -> None:
    assert limits_of(domain()) == Limits(memory=Bytes(65536 * 1024))


def test_a_limit_of_what_is_no_block_device_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="'/dev/null' is no block device"):
        limits_of(domain("<blkiotune><device><path>/dev/null</path></device></blkiotune>"))


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ("", []),
        ("<memtune><hard_limit unit='KiB'>1</hard_limit></memtune>", []),
        ("<memtune><hard_limit unit='KiB'>9007199254740991</hard_limit></memtune>", []),
        (
            "<memtune><hard_limit unit='TiB'>1</hard_limit></memtune>",
            ["its hard_limit of 1073741824 KiB limits nothing"],
        ),
    ],
)
def test_a_hard_limit_above_the_memory_is_told_to_mean_nothing(tune: str, told: list[str]) -> None:
    assert [each.partition(":")[0] for each in overruled_limits(domain(tune))] == told
