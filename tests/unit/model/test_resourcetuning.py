import pytest

from insula.errors import UnsupportedConfigError
from insula.model.resourcetuning import BlkioTune, CpuTune, MemoryTune, NumaMode, NumaTune, PlacementMode, Vcpu
from insula.model.sizes import CpuSet, KiB
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


def test_vcpus_have_a_count_a_set_and_a_number_in_use() -> None:
    vcpu = load(Vcpu, "vcpu", "<vcpu placement='auto' cpuset='0-3,^2' current='1'>2</vcpu>")
    assert vcpu == Vcpu(placement=PlacementMode.AUTO, cpus=CpuSet({0, 1, 3}), current=1, count=2)
    assert dump(vcpu, "vcpu") == "<vcpu placement='auto' cpuset='0-1,3' current='1'>2</vcpu>\n"


def test_memory_limits_are_written_in_kib_whatever_they_came_in() -> None:
    tune = load(
        MemoryTune, "memtune", "<memtune><hard_limit unit='G'>1</hard_limit><soft_limit>5</soft_limit></memtune>"
    )
    assert tune == MemoryTune(hard_limit=KiB(1048576), soft_limit=KiB(5))
    assert dump(tune, "memtune").splitlines()[1] == "  <hard_limit unit='KiB'>1048576</hard_limit>"


@pytest.mark.parametrize(
    ("element", "lowest", "highest"),
    [("shares", 2, 262144), ("period", 1000, 1000000), ("quota", -1, 17592186044415)],
)
def test_processor_shares_and_quotas_keep_within_the_kernels_ranges(element: str, lowest: int, highest: int) -> None:
    for number in (lowest, highest):
        tune = load(CpuTune, "cputune", f"<cputune><{element}>{number}</{element}></cputune>")
        assert getattr(tune, element) == number
    for number in (lowest - 1, highest + 1):
        with pytest.raises(UnsupportedConfigError, match=f"expected a whole number from {lowest} to {highest}"):
            load(CpuTune, "cputune", f"<cputune><{element}>{number}</{element}></cputune>")


def test_io_limits_belong_to_devices() -> None:
    tune = load(
        BlkioTune,
        "blkiotune",
        "<blkiotune><weight>500</weight><device><path>/dev/sda</path><write_iops_sec>9</write_iops_sec></device></blkiotune>",
    )
    assert tune.weight == 500
    assert [(str(each.path), each.weight, each.write_iops) for each in tune.devices] == [("/dev/sda", None, 9)]


def test_memory_may_come_from_some_nodes_only() -> None:
    tune = load(NumaTune, "numatune", "<numatune><memory mode='interleave' nodeset='0-1'/></numatune>")
    assert tune.memory is not None
    assert (tune.memory.mode, tune.memory.nodes) == (NumaMode.INTERLEAVE, CpuSet({0, 1}))
