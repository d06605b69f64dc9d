"""Guests that an earlier daemon ran are shown before their documents are read, and whatever these say."""

from pathlib import Path

import pytest

from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState
from insula.service.rundirectory import DOMAIN
from insula.service.unread import UnreadDefinition
from tests.unit.service.fakes import WEB, Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def left_running(rig: Rig, tmp_path: Path) -> Path:
    """Have a transient guest that no daemon has any more; return its live document."""
    await rig.domains.create_xml(domain_xml(more="<title>mine</title>"))
    rig.die()
    return rig.layout.running / str(WEB) / DOMAIN


async def test_a_guest_is_shown_and_taken_over_without_its_document_being_read(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_running(rig, tmp_path)
    successor = rig.successor()
    with monkeypatch.context() as unread:
        unread.setattr(DomainDefinition, "load", None)
        await successor.domains.recover()
    managed = successor.domains.services.domains.by_uuid(WEB)
    assert managed.state.state is DomainState.RUNNING
    assert isinstance(managed.description, UnreadDefinition)
    assert managed.current.title == "mine"
    assert managed.current.id == managed.id
    await successor.close()


async def test_a_guest_whose_document_makes_no_sense_runs_and_is_described_as_well_as_can_be(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = await left_running(rig, tmp_path)
    document.write_text(document.read_text().replace("<memory unit='KiB'>", "<memory unit='lots'>"))
    successor = rig.successor()
    await successor.domains.recover()
    managed = successor.domains.services.domains.by_uuid(WEB)
    assert managed.state.state is DomainState.RUNNING
    assert managed.current.name == "web"
    assert "the live definition of domain 'web' cannot be read" in caplog.text
    assert any("cannot be read" in each for each in managed.notices)
    await successor.domains.destroy(managed.ref)
    await successor.close()
