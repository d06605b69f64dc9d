"""Everything there is to tell about a domain, as JSON values."""

import json
import time

import pytest

from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, MetadataType
from insula.service.describing import written_xml, xml
from insula.service.unread import UnreadDefinition
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_a_running_domain_tells_how_the_host_has_it(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml(), owner=rig)
    told = json.loads(json.dumps(rig.domains.describe(ref)))

    assert (told["name"], told["id"], told["state"], told["reason"]) == ("web", ref.id, "running", "booted")
    assert told["memory"] == {"maximum": 64 << 20, "current": 64 << 20}
    assert isinstance(told["run"]["begun"], int) and abs(told["run"]["begun"] / 1e9 - time.time()) < 600
    assert told["run"]["pid"] == ref.id
    assert told["run"]["cgroup"] == rf"machine.slice/machine-lxc\x2d{ref.id}\x2dweb.scope"
    assert "its root may fill the file system it lies on" in told["run"]["unbound"]
    assert told["run"]["autodestroy"] is True
    assert told["run"]["ephemeral"] is True


async def test_a_domain_that_is_off_has_no_run(rig: Rig) -> None:
    told = rig.domains.describe(await rig.domains.define(domain_xml()))

    assert told["id"] is None
    assert told["run"] is None
    assert told["persistent"] is True
    assert (told["title"], told["description"], told["labels"]) == (None, None, {})


async def test_what_people_call_a_domain_is_told(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_metadata(ref, MetadataType.TITLE, "the shop", None, None, Affect.CONFIG)
    assert rig.domains.describe(ref)["title"] == "the shop"


async def test_a_document_is_written_once_until_the_domain_changes(rig: Rig) -> None:
    """What is shown is what was written to the disk at the definition: it has no part that only some may see."""
    ref = await rig.domains.define(domain_xml())
    managed = rig.domains.of(ref)
    first = written_xml(managed)
    assert first is not None
    assert first is xml(managed)
    assert all(written_xml(managed, inactive=each, secure=True) is first for each in (True, False))

    await rig.domains.set_memory(ref, 4096, Affect.CONFIG)
    changed = written_xml(managed)
    assert changed is not None and "4096" in changed and xml(managed) == changed

    await rig.domains.start(ref)
    assert written_xml(managed) is None
    live = xml(managed)
    assert "id='" in live
    assert (written_xml(managed), written_xml(managed, inactive=True)) == (live, changed)
    await rig.domains.destroy(ref)
    assert written_xml(managed) == changed


async def test_a_document_with_secrets_is_written_once_with_and_once_without(rig: Rig) -> None:
    secret = domain_xml().replace("<os>", "<os><initenv name='KEY'>s3cret</initenv>")
    managed = rig.domains.of(await rig.domains.define(secret))
    assert "s3cret" not in xml(managed)
    assert "s3cret" in xml(managed, secure=True)
    assert (written_xml(managed), written_xml(managed, secure=True)) == (xml(managed), xml(managed, secure=True))


async def test_the_defined_side_of_a_transient_domain_is_what_its_run_could_be_started_from(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    text = xml(managed, inactive=True)
    assert "id='" not in text
    assert xml(managed, inactive=True) is text
    assert written_xml(managed) is None


async def test_what_was_not_read_yet_is_not_read_for_a_document_that_is_known(rig: Rig) -> None:
    def refuse() -> DomainDefinition:
        raise AssertionError

    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    shown = managed.current
    managed.description = UnreadDefinition(name=managed.name, uuid=managed.uuid, read=refuse)
    assert written_xml(managed) is None
    managed.description = UnreadDefinition(name=managed.name, uuid=managed.uuid, read=lambda: shown)
    assert written_xml(managed) is None
    text = xml(managed)
    assert written_xml(managed) is text
