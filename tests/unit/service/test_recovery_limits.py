"""A daemon was killed amid a change of a guest's limits: its successor puts back what was."""

import errno
from pathlib import Path

import pytest

from insula.testing.fakegroups import FakeMemory
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.limits import group

pytestmark = pytest.mark.asyncio


async def test_a_change_of_limits_that_was_cut_short_is_undone(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()

    await until(lambda: group(successor, ref).memory.undone == 1)
    assert f"memory limit of domain '{ref.name}', cut short, was undone" in caplog.text
    assert successor.domains.is_active(ref)
    await successor.close()


async def test_limits_that_cannot_be_put_back_keep_no_guest_from_being_taken_over(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.die()

    def refuse(self: FakeMemory) -> bool:
        raise OSError(errno.EIO, "the kernel says no")

    monkeypatch.setattr(FakeMemory, "undo_unfinished", refuse)
    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.destroy(ref)

    assert "half changed, cannot be put back: [Errno 5] the kernel says no" in caplog.text
    await successor.close()
