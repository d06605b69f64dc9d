"""Whatever a disk refuses, and when: a client's answer, this daemon's memory, and what the next one reads agree."""

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from insula.errors import InsulaError
from insula.model.domainstates import LifecycleKind
from insula.service.events import LifecycleEvent
from insula.service.startoptions import Storage
from tests.faults import Faults, faults
from tests.unit.service.fakes import CRASHED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio

Verb = Callable[[Rig], Awaitable[Any]]
NEW = "<title>new</title>"


async def _nothing(rig: Rig) -> None:
    """No domain is there."""


async def _defined(rig: Rig) -> None:
    await rig.domains.define(domain_xml())


async def _autostarted(rig: Rig) -> None:
    await rig.domains.set_autostart(await rig.domains.define(domain_xml()), True)


async def _ran(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)


async def _running(rig: Rig) -> None:
    await rig.domains.start(await rig.domains.define(domain_xml()))


async def _transient(rig: Rig) -> None:
    await rig.domains.create_xml(domain_xml())


async def _preserved(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml(more="<on_crash>preserve</on_crash>"))
    rig.end(WEB, CRASHED)
    await until(lambda: not rig.domains.is_active(ref))


VERBS: dict[str, tuple[Verb, Verb]] = {
    "define": (_nothing, lambda rig: rig.domains.define(domain_xml(more=NEW))),
    "redefine": (_defined, lambda rig: rig.domains.define(domain_xml(more=NEW))),
    "define what runs": (_running, lambda rig: rig.domains.define(domain_xml(more=NEW))),
    "define a transient one": (_transient, lambda rig: rig.domains.define(domain_xml(more=NEW))),
    "define a preserved one": (_preserved, lambda rig: rig.domains.define(domain_xml(more=NEW))),
    "undefine": (_autostarted, lambda rig: rig.domains.undefine(rig.domains.lookup_by_name("web"))),
    "undefine with its storage": (
        _ran,
        lambda rig: rig.domains.undefine(rig.domains.lookup_by_name("web"), storage=Storage.DISCARD),
    ),
    "undefine what runs with its storage": (
        _running,
        lambda rig: rig.domains.undefine(rig.domains.lookup_by_name("web"), storage=Storage.DISCARD),
    ),
    "autostart": (_defined, lambda rig: rig.domains.set_autostart(rig.domains.lookup_by_name("web"), True)),
    "no autostart": (_autostarted, lambda rig: rig.domains.set_autostart(rig.domains.lookup_by_name("web"), False)),
}


def _known(rig: Rig) -> list[tuple[str, bool, bool, bool, str]]:
    """What this daemon answers about its domains."""
    return [
        (
            each.name,
            rig.domains.is_active(each),
            rig.domains.is_persistent(each),
            rig.domains.autostart(each),
            rig.domains.dump_xml(each, inactive=True) if rig.domains.is_persistent(each) else "",
        )
        for each in rig.domains.list()
    ]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("place", ["definitions", "marks", "run"])
async def test_the_next_daemon_knows_what_this_one_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, lasting: bool, place: str
) -> None:
    prepare, perform = VERBS[verb]
    number, met = 0, True
    while met:
        number += 1
        rig = Rig(tmp_path / f"{number}")
        below = {"definitions": rig.layout.definitions, "marks": rig.preparation.marks, "run": rig.layout.running}
        await rig.domains.recover()
        await prepare(rig)
        before, told = _known(rig), len(rig.told)
        with faults(below[place], monkeypatch) as disk:
            disk.number, disk.lasting = number, lasting
            refused = await _refused(perform(rig))
        met = bool(disk.failed)
        after, events = _known(rig), rig.told[told:]
        await rig.close()

        if refused:
            assert after == before, f"it failed at {disk.failed}, and changed something"
            assert events == []
        await _check_next(rig, after, disk)
        if verb.startswith("undefine") and not refused:
            assert [each.kind for each in events if isinstance(each, LifecycleEvent)] == [LifecycleKind.UNDEFINED]


async def _refused(work: Awaitable[Any]) -> bool:
    try:
        await work
    except InsulaError:
        return True
    return False


async def _check_next(rig: Rig, answered: list[Any], disk: Faults) -> None:
    successor = rig.successor()
    try:
        await successor.domains.recover()
        assert _known(successor) == answered, f"the disk failed at {disk.failed}"
    finally:
        await successor.close()


async def test_a_change_that_the_disk_took_and_could_not_sync_is_no_failure_and_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sync = os.fsync

    def failing(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, "Input/output error")
        sync(fd)

    monkeypatch.setattr(os, "fsync", failing)
    ref = await rig.domains.define(domain_xml())

    assert (rig.layout.definitions / "web.xml").exists()
    assert any("Input/output error" in each for each in rig.domains.messages(ref))
    assert "it may be lost with the host's power" in caplog.text


async def test_storage_that_was_to_go_is_not_what_the_same_uuid_finds_when_it_is_defined_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    with faults(rig.preparation.storage, monkeypatch) as disk:
        disk.number, disk.lasting = 1, True
        await rig.domains.undefine(ref, storage=Storage.DISCARD)
    assert rig.preparation.owns_storage(WEB)
    assert rig.preparation.doomed(WEB)

    await rig.domains.define(domain_xml())

    assert not rig.preparation.owns_storage(WEB)
    assert not rig.preparation.doomed(WEB)


async def test_undefining_what_runs_with_its_storage_succeeds_whole_where_the_run_directory_is_full(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    with faults(rig.layout.running, monkeypatch) as disk:
        disk.number, disk.lasting, disk.error = 1, True, errno.ENOSPC
        await rig.domains.undefine(ref, storage=Storage.DISCARD)
        assert [each.kind for each in rig.told[-1:] if isinstance(each, LifecycleEvent)] == [LifecycleKind.UNDEFINED]
        await rig.domains.destroy(ref)

    assert not rig.preparation.owns_storage(WEB)
    assert list(rig.domains.list()) == []
