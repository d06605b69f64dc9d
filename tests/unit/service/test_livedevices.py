"""Devices of guests that run: what cannot be taken back is told. The rest stands in test_devicechanges.py."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.spec import TmpfsMount
from insula.errors import OperationFailedError, StepError
from insula.model.numbers import Affect
from insula.service.rundirectory import RunDirectory
from insula.testing.fakechanges import FakeChanges
from tests.unit.service.fakes import Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_device_that_nobody_was_told_of_and_that_stays_is_told_and_holds_up_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    run = rig.domains.of(ref).require_run()

    def write(record: ContainerRecord) -> None:
        RunDirectory(rig.layout).write(replace(run.record, container=record.encode(), attaching=True))

    async def refuse(*_: Any, **__: Any) -> None:
        raise StepError("the guest says no")

    await rig.engine.mounts.attach(run.container, TmpfsMount(target="/untold"), write)
    rig.die()
    monkeypatch.setattr(FakeChanges, "detach", refuse)
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: successor.domains.messages(ref))

    assert list(successor.domains.messages(ref)) == ["it may have a device that nobody was told of: the guest says no"]
    assert successor.domains.is_active(ref)
    await successor.domains.destroy(ref)
    await successor.close()


async def test_a_change_that_cannot_be_written_down_is_refused_and_nothing_stays(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    before = rig.domains.dump_xml(ref)

    async def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FakeChanges, "attach", refuse)
    xml = "<filesystem type='ram'><source usage='1024' units='KiB'/><target dir='/cache'/></filesystem>"
    with pytest.raises(OperationFailedError, match=r"devices of domain 'web' stay: .*No space left"):
        await rig.domains.attach_device(ref, xml, Affect.LIVE)
    assert rig.domains.dump_xml(ref) == before
    (kept,) = RunDirectory(rig.layout).load()
    assert not kept.record.attaching
