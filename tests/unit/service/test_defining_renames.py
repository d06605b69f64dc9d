"""A domain gets another name: on the disk, in memory, and told."""

from typing import Any
from unittest.mock import patch

import pytest

from insula.errors import (
    DomainExistsError,
    DomainNotFoundError,
    OperationFailedError,
    OperationInvalidError,
    XmlError,
)
from insula.model.domainstates import DefinedDetail, LifecycleKind, UndefinedDetail
from insula.service.definitions import Definitions
from insula.service.events import LifecycleEvent
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_a_renamed_domain_is_the_same_one_under_another_name(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml(more="<title>kept</title>"))
    await rig.domains.set_autostart(ref, True)
    rig.told.clear()

    await rig.domains.rename(ref, "site")

    renamed = rig.domains.lookup_by_uuid(WEB)
    assert renamed.name == "site" and rig.domains.lookup_by_name("site") == renamed
    with pytest.raises(DomainNotFoundError):
        rig.domains.lookup_by_name("web")
    assert rig.told == [
        LifecycleEvent(domain=ref, kind=LifecycleKind.UNDEFINED, detail=UndefinedDetail.RENAMED),
        LifecycleEvent(domain=renamed, kind=LifecycleKind.DEFINED, detail=DefinedDetail.RENAMED),
    ]
    files = sorted(each.name for each in rig.layout.definitions.glob("*.xml"))
    assert files == ["site.xml"] and [each.name for each in rig.layout.autostart.iterdir()] == ["site.xml"]
    assert "<title>kept</title>" in (rig.layout.definitions / "site.xml").read_text()
    managed = rig.domains.of(renamed)
    assert managed.autostart and managed.current.name == "site"
    await rig.domains.start(renamed)
    assert rig.domains.of(renamed).require_run().container.record.spec.name == "site"


async def test_the_former_name_is_free_and_the_new_one_is_not(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.rename(ref, "site")
    await rig.domains.define(domain_xml("web", MAIL))
    with pytest.raises(DomainExistsError, match="'site' already exists"):
        await rig.domains.rename(rig.domains.lookup_by_name("web"), "site")
    assert rig.domains.lookup_by_name("web").uuid == MAIL


async def test_what_its_consoles_said_is_found_by_the_new_name(rig: Rig) -> None:
    rig.layout.logs.mkdir(parents=True, exist_ok=True)
    for name in ("web.console0.log", "web.console0.log.1", "web.console.txt", "webber.console0.log"):
        (rig.layout.logs / name).write_text(name)
    await rig.domains.rename(await rig.domains.define(domain_xml()), "site")
    assert sorted(each.name for each in rig.layout.logs.iterdir()) == [
        "site.console0.log",
        "site.console0.log.1",
        "web.console.txt",
        "webber.console0.log",
    ]


@pytest.mark.parametrize(
    ("name", "error"), [("web", OperationInvalidError), ("a/b", XmlError), ("", XmlError), ("x" * 65, XmlError)]
)
async def test_what_is_no_other_name_is_refused(rig: Rig, name: str, error: type[Exception]) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(error):
        await rig.domains.rename(ref, name)
    assert rig.domains.lookup_by_name("web") == ref and not rig.domains.of(ref).lock.holder


async def test_what_runs_or_is_transient_keeps_its_name(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    running = await rig.domains.start(ref)
    with pytest.raises(OperationInvalidError, match="active"):
        await rig.domains.rename(ref, "site")
    del running
    transient = await rig.domains.create_xml(domain_xml("mail", MAIL))
    with pytest.raises(OperationInvalidError, match="transient"):
        await rig.domains.rename(transient, "post")


@pytest.mark.parametrize("step", ["save", "set_autostart", "remove"])
async def test_a_rename_that_fails_has_not_happened(rig: Rig, step: str) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_autostart(ref, True)
    rig.told.clear()
    real = getattr(Definitions, step)
    calls: list[str] = []

    def fails_once(self: Definitions[Any], *arguments: object, **named: object) -> object:
        calls.append(step)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **named)

    with patch.object(Definitions, step, fails_once), pytest.raises(OperationFailedError, match="rename domain 'web'"):
        await rig.domains.rename(ref, "site")
    assert rig.domains.lookup_by_name("web") == ref and rig.told == []
    assert [each.name for each in rig.layout.definitions.glob("*.xml")] == ["web.xml"]
    assert [each.name for each in rig.layout.autostart.iterdir()] == ["web.xml"]
    await rig.domains.rename(ref, "site")
