"""What could not be taken away is tried again, and in the way of nobody but its own domain's start."""

import asyncio
import errno

import pytest

from insula.errors import OperationFailedError
from insula.service import leftovers
from insula.service.leftovers import Leftovers
from insula.service.running import RunDirectory
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
EXHAUSTED = OSError(errno.EMFILE, "Too many open files")


async def test_it_is_tried_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 0.001))
    left, failures = Leftovers(), [EXHAUSTED, EXHAUSTED]

    async def work() -> None:
        if failures:
            raise failures.pop()

    left.clear(WEB, "web", work)
    assert WEB in left
    await until(lambda: WEB not in left)
    assert failures == []


async def test_who_waits_hurries_it_and_is_told_why_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    left, failing = Leftovers(), asyncio.Event()
    failing.set()

    async def work() -> None:
        if failing.is_set():
            raise EXHAUSTED

    left.clear(WEB, "web", work, soon=False)
    with pytest.raises(OperationFailedError, match=r"of domain 'web' cannot be removed yet: .*Too many open files"):
        await left.settle(WEB, 0.2)
    failing.clear()
    await left.settle(WEB, 5)
    assert WEB not in left
    await left.settle(MAIL)
    await left.close()


async def test_a_start_whose_undo_fails_leaves_its_record_and_is_undone_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    ref = await rig.domains.define(domain_xml())

    def exhausted() -> None:
        rig.engine.cannot_undo = EXHAUSTED
        raise EXHAUSTED

    rig.engine.after_launch = exhausted
    with pytest.raises(OSError, match="Too many open files"):
        await rig.domains.start(ref)
    assert not rig.domains.is_active(ref)
    assert len(RunDirectory(rig.layout).load()) == 1
    assert list(rig.engine.guests()) == [str(WEB)]

    rig.engine.after_launch, rig.engine.cannot_undo = (lambda: None), None
    await rig.domains.start(ref)
    assert rig.domains.is_active(ref)
    await rig.domains.destroy(ref)
    assert list(rig.layout.running.iterdir()) == []
