"""The services are put together once, and one registry, one lock and one set of documents is all of theirs."""

from pathlib import Path

import pytest

from insula.errors import DomainNotFoundError
from insula.service.events import DomainIdentity
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_every_verb_finds_what_another_made(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.domains.recover()
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    services = rig.domains.services

    assert [each.name for each in services.domains] == ["web"]
    assert services.domains.by_uuid(ref.uuid).is_active
    assert rig.domains.messages(ref) == []
    with pytest.raises(DomainNotFoundError):
        rig.domains.of(DomainIdentity(name="mail", uuid=MAIL))
    await rig.close()


async def test_after_the_close_nothing_is_under_way_and_guests_stay(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.domains.recover()
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.close()

    assert rig.domains.holder(ref) is None
    assert rig.guests() == [WEB]
    rig.engine.close()
