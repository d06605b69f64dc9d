"""Domains as their clients mean them: found by UUID alone, owned, waited for, changed by many at once."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from insula.daemon.wiring import Patience
from insula.errors import (
    DomainExistsError,
    DomainNotFoundError,
    OperationInvalidError,
    OperationTimeoutError,
    XmlError,
)
from insula.model.domainstates import DomainState
from insula.service.events import DomainIdentity, Reboot
from insula.service.managed import Stopped
from insula.service.runrecord import StopReason
from insula.service.unread import UnreadDefinition
from tests.unit.service.fakes import MAIL, REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import hold_launches, state, told
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_a_stale_name_or_id_does_not_matter(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    stale = replace(ref, name="was", id=4711)
    started = await rig.domains.start(stale)

    assert rig.domains.ref(stale) == started
    assert started.name == "web"


async def test_an_unknown_uuid_is_no_domain_for_any_verb(rig: Rig) -> None:
    nobody = DomainIdentity(name="nobody", uuid=MAIL)
    for ask in (rig.domains.state, rig.domains.dump_xml, rig.domains.info, rig.domains.describe):
        with pytest.raises(DomainNotFoundError):
            ask(nobody)
    for act in (rig.domains.start, rig.domains.destroy, rig.domains.undefine, rig.domains.shutdown):
        with pytest.raises(DomainNotFoundError):
            await act(nobody)


async def test_a_definition_with_several_faults_is_refused_with_all_of_them(rig: Rig) -> None:
    xml = domain_xml(more="<title>a\nb</title>").replace("<vcpu>", "<vcpu current='5'>")
    with pytest.raises(XmlError, match=r"title has several lines.*only 2"):
        await rig.domains.define(xml)
    with pytest.raises(XmlError):
        await rig.domains.create_xml(xml)
    assert list(rig.domains.list()) == []


async def test_what_a_running_domain_looks_like_is_made_out_when_somebody_asks(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    managed = rig.domains.of(ref)
    assert isinstance(managed.description, UnreadDefinition)
    assert managed.current.id == managed.id > 0


async def test_running_counts_what_runs_and_what_will_run_again(rig: Rig) -> None:
    assert rig.domains.running() == 0
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml("mail", MAIL))
    assert rig.domains.running() == 1
    await rig.domains.destroy(ref)
    assert rig.domains.running() == 0


async def test_control_tells_that_nothing_is_under_way(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())

    lock = rig.domains.of(ref).lock
    assert (lock.holder, lock.held_for) == (None, 0.0)
    assert rig.domains.state(ref).state is DomainState.SHUTOFF


# Waiting, owners, concurrency


async def test_waiting_tells_how_the_domain_went_off(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml(), paused=True)
    waiting = asyncio.create_task(rig.domains.wait(ref))
    await rig.domains.resume(ref)
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))
    assert not waiting.done()
    rig.end(WEB, 0x0700)

    assert await asyncio.wait_for(waiting, patience(5)) == Stopped(reason=StopReason.CRASHED, status=0x0700)


async def test_waiting_for_what_never_ran_is_refused_and_for_what_ended_is_answered(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(OperationInvalidError, match="not running"):
        await rig.domains.wait(ref)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)

    assert (await rig.domains.wait(ref)).reason is StopReason.DESTROYED


async def test_a_domain_dies_with_the_connection_it_was_bound_to(rig: Rig) -> None:
    owner, other = object(), object()
    bound = await rig.domains.create_xml(domain_xml(), owner=owner)
    free = await rig.domains.create_xml(domain_xml("mail", MAIL), owner=other)

    await rig.domains.connection_closed(owner)

    assert [each.name for each in rig.domains.list()] == ["mail"]
    assert rig.domains.is_active(free)
    with pytest.raises(DomainNotFoundError):
        rig.domains.ref(bound)


@pytest.mark.parametrize("refusals", [{}, {"clone": OSError(errno.ENOMEM, "no")}], ids=["starting", "failing"])
async def test_a_domain_that_is_being_started_dies_with_its_connection_too(
    rig: Rig, refusals: dict[str, OSError], caplog: pytest.LogCaptureFixture
) -> None:
    owner, go = object(), hold_launches(rig)
    rig.refusals |= refusals
    starting = asyncio.create_task(rig.domains.create_xml(domain_xml(), owner=owner))
    await until(lambda: len(rig.domains.list()) == 1)
    closing = asyncio.create_task(rig.domains.connection_closed(owner))
    await asyncio.sleep(0)
    go.set()
    await closing
    await asyncio.gather(starting, return_exceptions=True)

    assert rig.domains.list() == []
    assert "should have ended with its connection" not in caplog.text


async def test_a_domain_dies_with_a_connection_that_closes_before_its_launch_begins(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, cleared = object(), asyncio.Event()
    monkeypatch.setattr("insula.service.leftovers.Leftovers.settle", lambda self, uuid: cleared.wait())
    starting = asyncio.create_task(rig.domains.create_xml(domain_xml(), owner=owner))
    await until(lambda: len(rig.domains.list()) == 1)
    closing = asyncio.create_task(rig.domains.connection_closed(owner))
    await asyncio.sleep(0)
    cleared.set()
    await asyncio.gather(starting, closing, return_exceptions=True)

    assert rig.domains.list() == []


async def test_a_bound_domain_that_was_started_again_later_is_not_bound_any_more(rig: Rig) -> None:
    owner = object()
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref, owner=owner)
    await rig.domains.destroy(ref)
    await rig.domains.start(ref)

    await rig.domains.connection_closed(owner)

    assert rig.domains.is_active(ref)


async def test_of_many_clients_that_start_one_domain_exactly_one_does(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    results = await asyncio.gather(*(rig.domains.start(ref) for _ in range(20)), return_exceptions=True)

    assert len([each for each in results if isinstance(each, OperationInvalidError)]) == 19
    assert rig.launches() == 1
    assert told(rig) == ["defined added", "started booted"]


async def test_of_many_clients_that_create_one_name_exactly_one_domain_comes(rig: Rig) -> None:
    xmls = [domain_xml("web", UUID(int=number)) for number in range(1, 11)]
    results = await asyncio.gather(*(rig.domains.create_xml(xml) for xml in xmls), return_exceptions=True)

    assert len([each for each in results if isinstance(each, DomainExistsError)]) == 9
    assert len(rig.domains.list()) == 1


async def test_reads_are_answered_while_a_start_is_under_way(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Patience(lock=0.05, shutdown=60))
    await rig.domains.recover()
    ref = await rig.domains.define(domain_xml())
    go = hold_launches(rig)
    starting = asyncio.create_task(rig.domains.start(ref))
    await until(lambda: rig.domains.holder(ref) == "start")

    assert state(rig, ref)[0] == "shutoff"
    assert rig.domains.dump_xml(ref)
    assert len(rig.domains.list()) == 1
    with pytest.raises(OperationTimeoutError, match=r"cannot acquire state change lock \(held by start"):
        await rig.domains.destroy(ref)
    go.set()
    await starting
    assert state(rig, ref)[0] == "running"
    await rig.close()


async def test_a_client_that_hangs_up_during_a_start_leaves_a_started_domain(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    go = hold_launches(rig)
    starting = asyncio.create_task(rig.domains.start(ref))
    await until(lambda: rig.domains.holder(ref) == "start")
    starting.cancel()
    go.set()
    await until(lambda: rig.domains.is_active(ref))

    assert told(rig) == ["defined added", "started booted"]


async def test_reboot_events_carry_the_new_id(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.end(WEB, REBOOTED)
    await until(lambda: any(isinstance(each, Reboot) for each in rig.told))

    assert rig.told[-1] == Reboot(domain=rig.domains.ref(ref))


async def test_domains_that_start_with_the_host_do_and_one_failure_stops_no_other(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await rig.domains.define(domain_xml("broken", MAIL).replace("<target dir='/'/>", "<target dir='/srv'/>"))
    web = await rig.domains.define(domain_xml())
    for ref in (broken, web):
        await rig.domains.set_autostart(ref, True)

    await rig.domains.start_autostarted()

    assert rig.domains.is_active(web)
    assert "'broken' should start with the host" in caplog.text


async def test_an_id_is_a_running_domains(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml("mail", MAIL))

    assert rig.domains.lookup_by_id(ref.id) == ref
    for number in (-1, ref.id + 1):
        with pytest.raises(DomainNotFoundError, match=f"no domain with matching id {number}"):
            rig.domains.lookup_by_id(number)


async def test_the_pid_of_a_domain_by_name_is_its_first_processes(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml("mail", MAIL))
    domains = rig.domains.services.domains

    assert domains.pid_of("web") == domains.by_uuid(ref.uuid).require_run().container.pid
    with pytest.raises(OperationInvalidError, match="not running"):
        domains.pid_of("mail")


async def test_an_id_leads_to_whoever_has_it_now(rig: Rig) -> None:
    web = await rig.domains.start(await rig.domains.define(domain_xml()))
    assert rig.domains.lookup_by_id(web.id).uuid == WEB
    await rig.domains.destroy(web)
    with pytest.raises(DomainNotFoundError):
        rig.domains.lookup_by_id(web.id)
    again = await rig.domains.start(web)
    other = await rig.domains.create_xml(domain_xml("mail", MAIL))
    assert [rig.domains.lookup_by_id(each.id).uuid for each in (again, other)] == [WEB, MAIL]
