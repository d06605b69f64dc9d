"""Shares and limits of block devices."""

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.service.parameters import Parameter
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import group, of_kind, running, values

pytestmark = pytest.mark.asyncio


async def test_block_weights_and_device_limits_are_kept_as_libvirt_spells_them(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    wanted = [
        Parameter("weight", ParameterType.UINT, 500),
        Parameter("device_weight", ParameterType.STRING, "/dev/sda,200"),
        Parameter("device_read_bytes_sec", ParameterType.STRING, "/dev/sda,1000,/dev/sdb,2000"),
    ]
    await rig.domains.set_blkio_parameters(ref, wanted, Affect.CONFIG)

    found = values(rig.domains.blkio_parameters(ref, Affect.CONFIG))
    assert found["weight"] == 500
    assert found["device_weight"] == "/dev/sda,200"
    assert found["device_read_bytes_sec"] == "/dev/sda,1000,/dev/sdb,2000"
    assert found["device_write_iops_sec"] == ""
    await rig.domains.set_blkio_parameters(
        ref, of_kind(ParameterType.STRING, device_read_bytes_sec="/dev/sdb,0"), Affect.CONFIG
    )
    assert "/dev/sdb" not in rig.domains.dump_xml(ref)


async def test_a_live_weight_reaches_the_group(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_blkio_parameters(ref, of_kind(ParameterType.UINT, weight=300), Affect.LIVE)

    assert group(rig, ref).io.weight == 300
    assert values(rig.domains.blkio_parameters(ref, Affect.LIVE))["weight"] == 300


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("device_weight", "/dev/sda", "unable to parse blkio device"),
        ("device_weight", "sda,200", "invalid value"),
        ("device_weight", "/dev/sda,heavy", "invalid value 'heavy'"),
        ("device_weight", "/dev/sda,5", "out of blkio weight range"),
    ],
)
async def test_device_limits_that_do_not_parse_are_refused(rig: Rig, name: str, text: str, error: str) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(InvalidArgumentError, match=error):
        await rig.domains.set_blkio_parameters(ref, of_kind(ParameterType.STRING, **{name: text}), Affect.CONFIG)


async def test_a_live_limit_of_what_is_no_block_device_is_refused(rig: Rig) -> None:
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match="'/dev/null' is no block device"):
        await rig.domains.set_blkio_parameters(
            ref, of_kind(ParameterType.STRING, device_read_iops_sec="/dev/null,10"), Affect.LIVE
        )
    assert "blkiotune" not in rig.domains.dump_xml(ref)
