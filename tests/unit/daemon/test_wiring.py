"""The services are put together once, and one registry, one lock and one set of documents is all of theirs."""

from pathlib import Path

import pytest

from insula.errors import DomainNotFoundError
from insula.model.domainstates import LifecycleKind, StartedDetail
from insula.service.cardbridges import CardBridges
from insula.service.events import DomainIdentity, Event, LifecycleEvent
from insula.service.guesthealth import GuestHealth
from insula.service.guestreadiness import GuestReadiness
from insula.service.helperrevival import HelperRevival
from insula.service.namesonnetworks import GuestNames
from insula.service.reseating import Reseating
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


async def test_a_start_that_ends_after_the_close_is_told_to_none_of_those_that_watch_guests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    for watching in (CardBridges, GuestHealth, GuestNames, GuestReadiness, HelperRevival, Reseating):

        def hear(_: object, event: Event, name: str = watching.__name__) -> None:
            heard.append(name)

        monkeypatch.setattr(watching, "heard", hear)
    rig = Rig(tmp_path)
    web = DomainIdentity(name="web", uuid=WEB)
    started = LifecycleEvent(domain=web, kind=LifecycleKind.STARTED, detail=StartedDetail.BOOTED)
    rig.events.publish(started)
    assert len(heard) == 6
    await rig.close()
    heard.clear()
    rig.events.publish(started)
    assert heard == []
