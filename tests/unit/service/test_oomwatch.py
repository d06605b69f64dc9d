"""Programs that are killed for want of memory are told once, with who it was."""

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast
from uuid import UUID

import pytest

from insula.engine.spec import IdMap, IdRange
from insula.kernel.cgroups import PAYLOAD, Cgroup
from insula.kernel.cgroups.oomnotices import OomNotices
from insula.kernel.kernellog import KernelLog
from insula.model.numbers import MemoryFailureAction
from insula.service.describing import described
from insula.service.events import MemoryFailure
from insula.service.oomwatch import OomWatch
from tests.unit.kernel.test_kernellog import choice, kill
from tests.unit.service.fakes import CRASHED, MAIL, WEB, Rig, domain_xml, until
from tests.unit.service.limits import group, running

pytestmark = pytest.mark.asyncio


@dataclass(slots=True)
class Notices:
    """Tells of those that a test wakes us for."""

    event: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK))
    watched: set[UUID] = field(default_factory=set)
    woken: set[UUID] = field(default_factory=set)
    missing: bool = False

    def fileno(self) -> int:
        return self.event

    def watch(self, key: UUID, group: Cgroup) -> None:
        if self.missing:
            raise OSError(95, "no such notices")
        self.watched.add(key)

    def forget(self, key: UUID) -> None:
        self.watched.discard(key)

    def take(self) -> set[UUID]:
        with suppress(BlockingIOError):
            os.eventfd_read(self.event)
        woken, self.woken = self.woken, set()
        return woken

    def wake(self, key: UUID = WEB) -> None:
        self.woken.add(key)
        os.eventfd_write(self.event, 1)

    def close(self) -> None:
        os.close(self.event)


@dataclass(slots=True)
class Log:
    texts: list[str] = field(default_factory=list)

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Watching:
    rig: Rig
    notices: Notices = field(default_factory=Notices)
    log: Log = field(default_factory=Log)

    def begin(self) -> OomWatch:
        watch = OomWatch(
            domains=self.rig.domains.services.domains,
            events=self.rig.events,
            notices=cast("OomNotices[UUID]", self.notices),
            log=cast("KernelLog", self.log),
        )
        self.rig.events.subscribe(watch.heard)
        watch.begin()
        return watch


def path_of(rig: Rig, domain: UUID = WEB) -> str:
    run = rig.domains.services.domains.by_uuid(domain).run
    assert run is not None
    return f"/{run.container.group.path}"


def failures(rig: Rig) -> list[MemoryFailure]:
    return [each for each in rig.told if isinstance(each, MemoryFailure)]


async def test_a_kill_is_told_once_with_its_program(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    group(rig, ref).oom_kills = 1
    watching.log.texts = [choice(9, "else", "/other"), kill(9, "else"), choice(7, "dd", path_of(rig)), kill(7, "dd")]
    watching.notices.wake()
    await until(lambda: failures(rig))
    watching.notices.wake()
    await until(lambda: not watching.notices.woken)

    assert failures(rig) == [MemoryFailure(domain=ref, action=MemoryFailureAction.IGNORE)]
    run = described(rig.domains.of(ref))["run"]
    assert run["oom_kills"] == 1
    assert [(each["program"], each["pid"]) for each in run["oom_victims"]] == [("dd", 7)]
    watch.close()


async def test_the_kill_may_come_a_moment_after_we_were_woken(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    watching.notices.wake()
    await until(lambda: not watching.notices.woken)
    assert not failures(rig)
    group(rig, ref).oom_kills = 2
    await until(lambda: failures(rig))
    watch.close()


async def test_a_guest_that_ended_for_want_of_memory_is_told_at_once(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    group(rig, ref).oom_kills = 1
    rig.end(WEB, CRASHED)
    await until(lambda: not rig.domains.of(ref).is_active)
    assert [each.action for each in failures(rig)] == [MemoryFailureAction.FATAL]
    assert not watching.notices.watched
    watch.close()


async def test_a_guest_that_was_destroyed_after_a_kill_is_told_of_it_as_of_one_that_it_bore(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    group(rig, ref).oom_kills = 1
    await rig.domains.destroy(ref)
    assert [each.action for each in failures(rig)] == [MemoryFailureAction.IGNORE]
    watch.close()


async def test_what_was_killed_before_us_is_counted_and_not_told(rig: Rig) -> None:
    ref = await running(rig)
    group(rig, ref).oom_kills = 3
    watching = Watching(rig)
    watch = watching.begin()
    watching.notices.wake()
    await until(lambda: not watching.notices.woken)
    assert watching.notices.watched == {WEB}
    assert not failures(rig)
    assert described(rig.domains.of(ref))["run"]["oom_kills"] == 3
    watch.close()


async def test_a_flood_is_told_of_the_guest_whose_range_of_ids_the_user_is_in(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    await rig.domains.start(await rig.domains.define(domain_xml("mail", MAIL)))
    run = rig.domains.of(ref).require_run()
    idmap = run.container.record.spec.idmap
    group(rig, ref).oom_kills = 1
    uid = 5 if idmap is None else idmap.root_uid
    watching.log.texts = [kill(7, "dd", uid), kill(8, "sh", 4_000_000_000)]
    watching.notices.wake()
    await until(lambda: failures(rig))
    assert [each.program for each in run.oom_victims] == ([] if idmap is None else ["dd"])
    watch.close()


async def test_a_host_that_gives_no_notice_keeps_no_guest_from_starting(rig: Rig) -> None:
    watching = Watching(rig, notices=Notices(missing=True))
    watch = watching.begin()
    ref = await running(rig)
    assert rig.domains.of(ref).is_active
    watch.close()


async def test_guests_that_are_short_of_memory_at_once_are_each_told_their_own_victims(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    web = await running(rig)
    mail = await rig.domains.start(await rig.domains.define(domain_xml("mail", MAIL)))
    for ref in (web, mail):
        group(rig, ref).oom_kills = 1
    watching.log.texts = [
        *(choice(7, "dd", path_of(rig, WEB)), kill(7, "dd")),
        *(choice(8, "sh", path_of(rig, MAIL)), kill(8, "sh")),
    ]
    watching.notices.woken = {WEB, MAIL}
    watching.notices.wake()
    await until(lambda: len(failures(rig)) == 2)
    victims = [[each.program for each in rig.domains.of(ref).require_run().oom_victims] for ref in (web, mail)]
    assert victims == [["dd"], ["sh"]]
    watch.close()


@pytest.mark.parametrize("way", ["payload/{mail}", "x{mail}", "payload/x,task_memcg={mail}", "payload/ {mail}"])
async def test_a_guest_cannot_have_its_victims_told_as_anothers_by_the_names_of_its_groups(rig: Rig, way: str) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    web = await running(rig)
    mail = await rig.domains.start(await rig.domains.define(domain_xml("mail", MAIL)))
    group(rig, mail).oom_kills = 1
    chosen = f"{path_of(rig, WEB)}/{way.format(mail=path_of(rig, MAIL))}/x"
    watching.log.texts = [choice(7, "dd", f"/above{chosen}"), kill(7, "dd")]
    watching.notices.wake(MAIL)
    await until(lambda: failures(rig))
    assert rig.domains.of(mail).require_run().oom_victims == ()
    group(rig, web).oom_kills = 1
    watching.notices.wake(WEB)
    await until(lambda: len(failures(rig)) == 2)
    assert [each.program for each in rig.domains.of(web).require_run().oom_victims] == ["dd"]
    watch.close()


async def test_what_a_guest_that_is_over_named_below_its_own_group_is_nobodys(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    web = await running(rig)
    group(rig, web).oom_kills = 1
    watching.log.texts = [choice(7, "dd", f"/machine/gone/{PAYLOAD}{path_of(rig)}"), kill(7, "dd")]
    watching.notices.wake()
    await until(lambda: failures(rig))
    assert rig.domains.of(web).require_run().oom_victims == ()
    watch.close()


async def test_a_guest_with_ids_of_its_own_has_no_victims_of_other_users(rig: Rig) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    web = await running(rig)
    held = rig.domains.of(web).require_run().container
    ids = (IdRange(inside=0, outside=500_000, count=1000),)
    spec = replace(held.record.spec, idmap=IdMap(uids=ids, gids=ids))
    held.record = replace(held.record, spec=spec)
    group(rig, web).oom_kills = 2
    path = path_of(rig)
    watching.log.texts = [choice(7, "dd", path), kill(7, "dd", 400_000), choice(8, "sh", path), kill(8, "sh", 500_007)]
    watching.notices.wake()
    await until(lambda: failures(rig))
    assert [each.program for each in rig.domains.of(web).require_run().oom_victims] == ["sh"]
    watch.close()


async def test_a_look_that_fails_is_told_and_not_the_last(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watching = Watching(rig)
    watch = watching.begin()
    ref = await running(rig)
    take = Notices.take

    def fail(self: Notices) -> set[UUID]:
        take(self)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Notices, "take", fail)
    watching.notices.wake()
    await until(lambda: "Too many open files" in caplog.text)
    monkeypatch.setattr(Notices, "take", take)
    group(rig, ref).oom_kills = 1
    watching.notices.wake()
    await until(lambda: failures(rig))
    watch.close()
