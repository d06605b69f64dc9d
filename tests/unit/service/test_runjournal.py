"""What is written down of a run is what the next daemon will know of it."""

import errno
from dataclasses import replace

import pytest

from insula.service import rundirectory
from insula.service.rundirectory import RunDirectory
from insula.service.runjournal import RunJournal
from insula.service.runrecord import RunRecord
from tests.unit.service.fakes import WEB, Rig, domain_xml

pytestmark = pytest.mark.asyncio


def kept(rig: Rig) -> RunRecord:
    """Return the record as the next daemon would read it."""
    (entry,) = RunDirectory(rig.layout).load()
    return entry.record


async def test_a_change_that_cannot_be_written_down_did_not_happen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    managed = rig.domains.of(ref)
    before = managed.require_run().record
    journal = RunJournal(RunDirectory(rig.layout), rig.domains.wiring.reseating.seating)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(rundirectory, "replace_file", refuse)
        with pytest.raises(OSError, match="No space"):
            journal.change(managed, replace(before, claiming=True))
    assert managed.require_run().record == before == kept(rig)


async def test_what_happened_already_is_known_although_it_cannot_be_written_yet(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    managed = rig.domains.of(ref)
    before = managed.require_run().record
    directory = RunDirectory(rig.layout)
    journal = RunJournal(directory, rig.domains.wiring.reseating.seating)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(rundirectory, "replace_file", refuse)
        journal.write_record(managed, replace(before, resumed=True))
    assert managed.require_run().record.resumed
    assert not kept(rig).resumed
    directory.pay()
    assert kept(rig).resumed
    assert kept(rig).uuid == WEB
