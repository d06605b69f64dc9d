"""Which definition is meant is resolved as libvirt does it."""

import errno
import threading

import pytest

from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.numbers import Affect, ParameterType
from insula.service.events import LimitChangeFailed
from insula.service.parameters import Parameter
from insula.testing.fakegroups import FakeMemory
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH, group, running

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("verb", ["setmem", "memtune"])
async def test_the_daemon_goes_on_while_the_kernel_takes_memory_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    threads: list[int] = []
    monkeypatch.setattr(FakeMemory, "limit", lambda *_, **__: threads.append(threading.get_ident()))
    if verb == "setmem":
        await rig.domains.set_memory(ref, 32768, Affect.LIVE)
    else:
        limit = Parameter("hard_limit", ParameterType.ULLONG, 32768)
        await rig.domains.set_memory_parameters(ref, [limit], Affect.LIVE)

    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_what_is_not_there_cannot_be_meant(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await rig.domains.set_memory(ref, 1024, Affect.LIVE)
    await rig.domains.start(ref)
    await rig.domains.undefine(ref)
    with pytest.raises(OperationInvalidError, match="do not have any persistent config"):
        await rig.domains.set_memory(ref, 1024, Affect.CONFIG)
    with pytest.raises(InvalidArgumentError, match="mutually exclusive"):
        rig.domains.memory_parameters(ref, BOTH)


async def test_a_change_that_cannot_be_written_down_is_taken_back_from_the_guest_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await running(rig)

    def full(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("insula.service.definitions.Definitions.save", full)
    with pytest.raises(OperationFailedError, match="cannot save the definition"):
        await rig.domains.set_memory(ref, 32768, BOTH)

    assert group(rig, ref).memory.limits["memory"] == 65536 * 1024
    for inactive in (False, True):
        assert "<currentMemory unit='KiB'>65536<" in rig.domains.dump_xml(ref, inactive=inactive)
    assert [type(each) for each in rig.told] == [LimitChangeFailed]
