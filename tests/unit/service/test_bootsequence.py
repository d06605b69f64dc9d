"""Domains that start with the host."""

import asyncio
import logging
import re
from typing import Any
from uuid import UUID

import pytest

from insula.errors import AccessDeniedError, OperationFailedError, OperationInvalidError, UnsupportedConfigError
from insula.kernel.durable import Commit
from insula.service.definitions import Definitions
from insula.service.events import DomainIdentity
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_domain_that_is_to_start_once_does_and_is_forgotten(rig: Rig) -> None:
    web = rig.domains.of(await rig.domains.define(domain_xml()))
    definitions = rig.domains.services.definitions
    await definitions.set_autostart_once(web, on=True)
    assert [each.name for each in rig.layout.autostart.iterdir()] == ["web.xml.once"]
    assert not web.autostart

    await rig.domains.start_autostarted()

    assert rig.guests() == [WEB]
    assert not web.autostart_once and list(rig.layout.autostart.iterdir()) == []


async def test_the_next_daemon_knows_who_is_to_start_once(rig: Rig) -> None:
    web = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.services.definitions.set_autostart_once(web, on=True)

    successor = rig.successor()
    await successor.domains.recover()
    assert successor.domains.services.domains.by_name("web").autostart_once
    await successor.domains.start_autostarted()

    assert rig.guests() == [WEB]
    await successor.close()


async def test_one_that_could_not_be_started_is_not_tried_at_the_next_start(rig: Rig) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OSError(22, "Invalid argument")

    web = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.services.definitions.set_autostart_once(web, on=True)
    rig.engine.launch = fail  # type: ignore[method-assign,assignment]
    await rig.domains.start_autostarted()

    assert rig.guests() == []
    assert not web.autostart_once and list(rig.layout.autostart.iterdir()) == []


async def test_one_that_a_killed_daemon_had_started_already_is_forgotten_by_the_next(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.services.definitions.set_autostart_once(rig.domains.of(ref), on=True)
    await rig.domains.start(ref)

    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.start_autostarted()

    assert not successor.domains.of(ref).autostart_once
    assert successor.domains.is_active(ref)
    await successor.close()


async def test_a_disk_that_refuses_to_forget_it_is_told_and_harms_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, uuid in (("web", WEB), ("mail", MAIL)):
        web = rig.domains.of(await rig.domains.define(domain_xml(name, uuid)))
        await rig.domains.services.definitions.set_autostart_once(web, on=True)

    def full(self: Any, name: str, *, on: bool, once: bool = False) -> Commit:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Definitions, "set_autostart", full)
    with caplog.at_level(logging.ERROR):
        await rig.domains.start_autostarted()

    assert sorted(rig.guests()) == sorted([WEB, MAIL])
    assert "will start with the host's next start again" in caplog.text


async def test_it_goes_along_when_the_domain_is_renamed_and_away_when_it_is_undefined(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    web, definitions = rig.domains.of(ref), rig.domains.services.definitions
    await definitions.set_autostart_once(web, on=True)
    await definitions.rename(web, "site")
    assert [each.name for each in rig.layout.autostart.iterdir()] == ["site.xml.once"]

    await rig.domains.undefine(ref)

    assert list(rig.layout.autostart.iterdir()) == []


async def test_a_transient_domain_starts_with_no_host(rig: Rig) -> None:
    web = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    with pytest.raises(OperationInvalidError, match="cannot set autostart for transient domain"):
        await rig.domains.services.definitions.set_autostart_once(web, on=True)


SETTINGS = "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>{}</insula:domain></metadata>"
UUIDS = {name: UUID(int=number) for number, name in enumerate(("web", "db", "app", "mail", "log"), 1)}


async def defined(rig: Rig, name: str, settings: str = "", *, autostart: bool = True) -> DomainIdentity:
    ref = await rig.domains.define(domain_xml(name, UUIDS[name], SETTINGS.format(settings)))
    if autostart:
        await rig.domains.set_autostart(ref, True)
    return ref


def launched(rig: Rig) -> list[str]:
    names = {str(uuid): name for name, uuid in UUIDS.items()}
    return [names[each.removeprefix("clone ")] for each in rig.changes if each.startswith("clone ")]


async def test_domains_start_in_the_order_of_their_places(rig: Rig) -> None:
    for name, place in (("web", "order='20'"), ("db", ""), ("app", "order='3' delay='0'")):
        await defined(rig, name, f"<insula:autostart {place}/>")
    await rig.domains.start_autostarted()
    assert launched(rig) == ["app", "web", "db"]


async def test_those_of_a_later_place_wait_for_the_delay(rig: Rig) -> None:
    await defined(rig, "db", "<insula:autostart order='1' delay='86400'/>")
    await defined(rig, "web", "<insula:autostart order='2'/>")
    await defined(rig, "mail", "<insula:autostart order='2' group='others'/>")
    boot = asyncio.ensure_future(rig.domains.start_autostarted())
    await until(lambda: len(launched(rig)) == 2)
    assert sorted(launched(rig)) == ["db", "mail"]
    boot.cancel()
    await asyncio.gather(boot, return_exceptions=True)


async def test_what_a_domain_depends_on_starts_before_it_though_it_does_not_start_with_the_host(rig: Rig) -> None:
    await defined(rig, "web", "<insula:depends-on domain='app'/>")
    await defined(rig, "app", "<insula:depends-on domain='db'/>", autostart=False)
    await defined(rig, "db", autostart=False)
    await rig.domains.start_autostarted()
    assert launched(rig) == ["db", "app", "web"]


async def test_a_domain_whose_need_fails_says_so_and_the_others_start(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='db'/>"))
    log = rig.domains.of(await defined(rig, "log", "<insula:depends-on domain='web'/>"))
    await defined(rig, "app", "<insula:depends-on domain='db' required='no'/>")
    await defined(rig, "db")
    await defined(rig, "mail")
    rig.refusals[f"clone {UUIDS['db']}"] = OSError(28, "No space left on device")
    with caplog.at_level(logging.WARNING):
        await rig.domains.start_autostarted()

    assert sorted(each for each in launched(rig) if each != "db") == ["app", "mail"]
    assert web.past.failure is not None and log.past.failure is not None
    assert "it depends on domain 'db', which could not be started: " in web.past.failure.text
    assert "it depends on domain 'web', which could not be started: it depends on" in log.past.failure.text
    assert "domain 'app' starts all the same: it depends on domain 'db'" in caplog.text


async def test_a_domain_that_needs_an_unknown_one_does_not_start_with_the_host(rig: Rig) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='nobody'/>"))
    await rig.domains.start_autostarted()
    assert rig.guests() == []
    assert web.past.failure is not None
    assert web.past.failure.text == "it depends on domain 'nobody', which is not there"


async def test_domains_that_would_need_each_other_are_refused_when_they_are_defined(rig: Rig) -> None:
    await defined(rig, "web", "<insula:depends-on domain='app'/>")
    await defined(rig, "app", "<insula:depends-on domain='db'/>")
    with pytest.raises(UnsupportedConfigError, match="'db' would depend on itself: db → web → app → db"):
        await defined(rig, "db", "<insula:depends-on domain='web'/>")
    with pytest.raises(UnsupportedConfigError, match="mail → mail"):
        await defined(rig, "mail", "<insula:depends-on domain='mail'/>")
    assert rig.domains.services.domains.find(UUIDS["db"]) is None


async def test_those_that_need_each_other_by_hand_are_named_and_keep_no_other_from_starting(rig: Rig) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='app'/>"))
    await defined(rig, "app")
    await defined(rig, "mail")
    file = rig.layout.definitions / "app.xml"
    text = file.read_text().replace("<insula:domain ", "<insula:domain xmlns:x='urn:x' ")
    needs = "<insula:depends-on xmlns:insula='https://insula.dev/xmlns/domain/1' domain='web'/>"
    file.write_text(re.sub("(<insula:domain [^>]*?)/?>(</insula:domain>)?", rf"\1>{needs}</insula:domain>", text))
    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.start_autostarted()

    assert successor.guests() == [UUIDS["mail"]]
    failure = successor.domains.of(web.ref).past.failure
    assert failure is not None and "and so on back to itself: " in failure.text
    await successor.close()


async def test_who_depends_on_a_guest_waits_until_that_is_ready_as_long_as_its_definition_says(rig: Rig) -> None:
    await defined(rig, "db", "<insula:readiness notify='yes' timeout='1'/>")
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='db'/>"))
    await defined(rig, "app", "<insula:depends-on domain='db' until='running'/>")
    await rig.domains.start_autostarted()
    assert launched(rig) == ["db", "app"]
    assert web.past.failure is not None
    assert web.past.failure.text == "it depends on domain 'db', of which is true: it is not ready within 1 s"


async def test_a_daemon_that_dies_amid_the_hosts_start_leaves_the_rest_to_the_next(rig: Rig) -> None:
    await defined(rig, "db", "<insula:autostart order='1' delay='86400'/>")
    await defined(rig, "web", "<insula:autostart order='2'/>")
    boot = asyncio.ensure_future(rig.domains.start_autostarted())
    await until((rig.layout.run / "autostarted.underway").exists)
    await rig.domains.destroy(rig.domains.lookup_by_name("db"))
    boot.cancel()
    await asyncio.gather(boot, return_exceptions=True)

    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.start_autostarted()

    assert successor.guests() == [UUIDS["web"]], "what was stopped meanwhile stays off"
    assert not (rig.layout.run / "autostarted.underway").exists()
    await successor.close()


async def test_a_domain_is_started_with_what_it_depends_on(rig: Rig) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='db'/>", autostart=False))
    await defined(rig, "db", "<insula:autostart order='5'/>", autostart=False)
    await rig.domains.services.boot.start_with_needs(web)
    assert launched(rig) == ["db", "web"]
    with pytest.raises(OperationInvalidError, match="already running"):
        await rig.domains.services.boot.start_with_needs(web)


async def test_nothing_is_started_where_something_would_be_that_may_not(rig: Rig) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='db'/>", autostart=False))
    db = await defined(rig, "db", autostart=False)
    boot = rig.domains.services.boot
    assert {each.name for each in boot.with_needs(web)} == {"web", "db"}
    with pytest.raises(AccessDeniedError, match="domain:start on domain 'db'"):
        await boot.start_with_needs(web, permitted={UUIDS["web"]})
    assert launched(rig) == []

    await rig.domains.start(db)
    await boot.start_with_needs(web, permitted={UUIDS["web"]})
    assert launched(rig) == ["db", "web"], "what runs is not started"


async def test_a_domain_is_not_started_without_what_it_depends_on(rig: Rig) -> None:
    web = rig.domains.of(await defined(rig, "web", "<insula:depends-on domain='db'/>", autostart=False))
    with pytest.raises(OperationFailedError, match="it depends on domain 'db', which is not there"):
        await rig.domains.services.boot.start_with_needs(web)
    assert rig.guests() == []


async def test_those_that_run_stop_in_the_reverse_order(rig: Rig) -> None:
    for name, needs in (("web", "<insula:depends-on domain='db'/>"), ("db", ""), ("mail", "")):
        await defined(rig, name, needs)
    await rig.domains.start_autostarted()
    await defined(rig, "log", "<insula:depends-on domain='web'/>")
    assert rig.domains.services.boot.stop_stages(rig.domains.services.domains) == (("mail", "web"), ("db",))
