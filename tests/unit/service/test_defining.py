"""Definitions come, change and go, on the disk before anybody is told."""

import asyncio
import errno
import os
import shutil
from uuid import UUID

import pytest

from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.errors import (
    DomainExistsError,
    DomainNotFoundError,
    OperationFailedError,
    OperationInvalidError,
    UnsupportedConfigError,
    XmlError,
)
from insula.kernel.durable import Commit
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DefinedDetail, LifecycleKind, UndefinedDetail
from insula.model.numbers import ListDomains
from insula.service.definitions import Definitions
from insula.service.events import LifecycleEvent
from insula.service.rundirectory import RunDirectory
from insula.service.startoptions import Storage
from tests.unit.service.fakes import CRASHED, MAIL, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_defined_domain_is_found_by_name_and_uuid_and_is_on_the_disk(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())

    assert rig.domains.lookup_by_name("web") == rig.domains.lookup_by_uuid(WEB) == ref
    assert (rig.layout.definitions / "web.xml").exists()
    assert rig.told == [LifecycleEvent(domain=ref, kind=LifecycleKind.DEFINED, detail=DefinedDetail.ADDED)]


async def test_a_definition_has_ready_what_the_first_start_plays(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []
    program = rig.engine.program

    def noted(spec: ContainerSpec) -> Program:
        played.append(spec.name)
        return program(spec)

    monkeypatch.setattr(rig.engine, "program", noted)
    await rig.domains.define(domain_xml())
    assert played == ["web"]


async def test_what_cannot_be_started_yet_can_be_defined(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(spec: ContainerSpec) -> Program:
        raise UnsupportedConfigError("not today")

    monkeypatch.setattr(rig.engine, "program", refused)
    await rig.domains.define(domain_xml())
    assert rig.domains.lookup_by_name("web").uuid == WEB


async def test_what_is_the_domains_own_is_reserved_at_its_definition_and_not_needed_for_it(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.domains.define(domain_xml())
    assert rig.preparation.reserved == [WEB]

    rig.preparation.no_ids = True
    await rig.domains.define(domain_xml("mail", MAIL))
    assert rig.preparation.reserved == [WEB]
    assert "no ids are reserved for domain 'mail' yet: no ids are left" in caplog.text
    await rig.domains.start(rig.domains.lookup_by_name("mail"))


async def test_redefining_replaces_the_definition_and_is_told_as_an_update(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.define(domain_xml(more="<title>new</title>"))

    assert "<title>new</title>" in rig.domains.dump_xml(ref)
    assert isinstance(rig.told[-1], LifecycleEvent)
    assert rig.told[-1].detail is DefinedDetail.UPDATED
    assert len(rig.domains.list()) == 1


async def test_a_name_or_a_uuid_that_belongs_to_another_domain_is_refused(rig: Rig) -> None:
    await rig.domains.define(domain_xml())

    with pytest.raises(DomainExistsError, match=f"domain 'web' already exists with uuid {WEB}"):
        await rig.domains.define(domain_xml(uuid=MAIL))
    with pytest.raises(DomainExistsError, match=f"domain 'web' is already defined with uuid {WEB}"):
        await rig.domains.define(domain_xml("mail"))
    assert [each.name for each in rig.domains.list()] == ["web"]


async def test_xml_that_is_no_domain_defines_nothing(rig: Rig) -> None:
    with pytest.raises(XmlError):
        await rig.domains.define("<domain type='lxc'><name>web</name></domain>")
    assert list(rig.domains.list()) == []


async def test_defining_while_it_runs_changes_the_next_start_only(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    assert not rig.domains.is_updated(ref)
    await rig.domains.define(domain_xml(more="<title>next</title>"))

    assert "<title>" not in rig.domains.dump_xml(ref)
    assert "<title>next</title>" in rig.domains.dump_xml(ref, inactive=True)
    assert rig.domains.is_updated(ref)
    await rig.domains.destroy(ref)
    assert "<title>next</title>" in rig.domains.dump_xml(ref)
    assert not rig.domains.is_updated(ref)


async def test_an_undefined_domain_is_gone_and_so_are_its_files_but_not_its_storage(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_autostart(ref, True)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    await rig.domains.undefine(ref)

    with pytest.raises(DomainNotFoundError):
        rig.domains.ref(ref)
    assert os.listdir(rig.layout.definitions) == ["autostart"]
    assert os.listdir(rig.layout.autostart) == []
    assert rig.preparation.owns_storage(WEB)
    assert rig.preparation.released == [WEB]
    assert rig.told[-1] == LifecycleEvent(domain=ref, kind=LifecycleKind.UNDEFINED, detail=UndefinedDetail.REMOVED)


async def test_undefining_with_its_storage_removes_that_too(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    await rig.domains.undefine(ref, storage=Storage.DISCARD)

    assert not rig.preparation.owns_storage(WEB)


async def test_undefining_what_runs_makes_it_transient(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.undefine(ref)

    assert rig.domains.is_active(ref)
    assert not rig.domains.is_persistent(ref)
    with pytest.raises(OperationInvalidError, match="cannot undefine transient domain"):
        await rig.domains.undefine(ref)
    with pytest.raises(OperationInvalidError, match="cannot set autostart for transient domain"):
        await rig.domains.set_autostart(ref, True)
    await rig.domains.destroy(ref)
    assert list(rig.domains.list()) == []
    assert rig.preparation.owns_storage(WEB)


async def test_undefining_what_runs_with_its_storage_discards_it_at_the_end(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.undefine(ref, storage=Storage.DISCARD)
    assert rig.preparation.owns_storage(WEB)

    await rig.domains.destroy(ref)

    assert not rig.preparation.owns_storage(WEB)


async def test_defining_a_transient_domain_makes_it_persistent_and_keeps_its_storage(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml())
    assert rig.domains.is_persistent(ref)

    await rig.domains.destroy(ref)

    assert rig.preparation.owns_storage(WEB)
    assert [each.name for each in rig.domains.list(ListDomains.INACTIVE)] == ["web"]


async def test_storage_is_kept_before_its_domain_is_defined(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.domains.create_xml(domain_xml())
    before = Definitions.save
    marks: list[str] = []

    def save(definitions: Definitions[DomainDefinition], domain: DomainDefinition) -> Commit:
        marks.extend(os.listdir(rig.preparation.marks))
        return before(definitions, domain)

    monkeypatch.setattr(Definitions, "save", save)
    assert os.listdir(rig.preparation.marks) == [str(WEB)]
    await rig.domains.define(domain_xml())

    assert marks == []
    assert [each.record.ephemeral for each in RunDirectory(rig.layout).load()] == [False]


async def test_a_definition_that_cannot_be_saved_leaves_the_storage_as_transient_as_it_was(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(definitions: Definitions[DomainDefinition], domain: DomainDefinition) -> None:
        raise OSError(errno.ENOSPC, "no space")

    ref = await rig.domains.create_xml(domain_xml())
    monkeypatch.setattr(Definitions, "save", full)
    with pytest.raises(OperationFailedError, match="no space"):
        await rig.domains.define(domain_xml())
    assert os.listdir(rig.preparation.marks) == [str(WEB)]

    await rig.domains.destroy(ref)

    assert not rig.preparation.owns_storage(WEB)


async def test_defining_what_was_preserved_after_its_crash_keeps_its_storage(rig: Rig) -> None:
    xml = domain_xml(more="<on_crash>preserve</on_crash>")
    ref = await rig.domains.create_xml(xml)
    rig.end(WEB, CRASHED)
    await until(lambda: not rig.domains.is_active(ref))
    await rig.domains.define(xml)
    await rig.domains.destroy(ref)

    assert rig.preparation.owns_storage(WEB)


async def test_a_disk_that_refuses_a_new_definition_leaves_no_domain(rig: Rig) -> None:
    shutil.rmtree(rig.layout.definitions, ignore_errors=True)
    rig.layout.definitions.parent.mkdir(parents=True, exist_ok=True)
    rig.layout.definitions.write_text("a file in the way")

    with pytest.raises(OperationFailedError, match="cannot save the definition of domain 'web'"):
        await rig.domains.define(domain_xml())

    assert list(rig.domains.list()) == []
    assert rig.told == []
    assert rig.preparation.released == [WEB], "the ids that it was given meanwhile are others' again"


async def test_a_disk_that_refuses_a_change_leaves_the_old_definition(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    (rig.layout.definitions / "web.xml").unlink()
    (rig.layout.definitions / "web.xml").mkdir()

    with pytest.raises(OperationFailedError):
        await rig.domains.define(domain_xml(more="<title>new</title>"))

    assert "<title>" not in rig.domains.dump_xml(ref)


async def test_autostart_is_remembered(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    assert not rig.domains.autostart(ref)
    await rig.domains.set_autostart(ref, True)

    assert rig.domains.autostart(ref)
    assert [each.name for each in rig.domains.list(ListDomains.AUTOSTART)] == ["web"]
    assert list(rig.domains.list(ListDomains.NO_AUTOSTART)) == []


async def test_many_clients_that_define_and_undefine_at_once_leave_memory_and_disk_agreeing(rig: Rig) -> None:
    async def churn(number: int) -> None:
        uuid = UUID(int=100 + number % 3)
        for _ in range(5):
            ref = await rig.domains.define(domain_xml(f"d{number % 3}", uuid))
            try:
                await rig.domains.undefine(ref)
            except (OperationInvalidError, DomainNotFoundError):
                continue  # another client was first

    results = await asyncio.gather(*(churn(number) for number in range(9)), return_exceptions=True)

    assert [each for each in results if isinstance(each, BaseException)] == []
    on_disk = sorted(each.stem for each in rig.layout.definitions.glob("*.xml"))
    assert sorted(each.name for each in rig.domains.list()) == on_disk


async def test_a_verb_whose_turn_comes_after_the_domain_went_finds_no_domain(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    undefined, started, defined = await asyncio.gather(
        rig.domains.undefine(ref),
        rig.domains.start(ref),
        rig.domains.define(domain_xml(more="<title>again</title>")),
        return_exceptions=True,
    )

    assert undefined is None
    assert isinstance(started, DomainNotFoundError)
    assert defined == ref
    assert "<title>again</title>" in rig.domains.dump_xml(ref)
    assert (rig.layout.definitions / "web.xml").exists()
