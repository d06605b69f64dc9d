"""Everything there is to tell about a domain, as JSON values."""

import json
import time

import pytest

from insula.model.numbers import Affect
from insula.service.describing import written_xml, xml
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_a_running_domain_tells_how_the_host_has_it(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml(), owner=rig)
    told = json.loads(json.dumps(rig.domains.describe(ref)))

    assert (told["name"], told["id"], told["state"], told["reason"]) == ("web", ref.id, "running", "booted")
    assert told["memory"] == {"maximum": 64 << 20, "current": 64 << 20}
    assert isinstance(told["run"]["begun"], int) and abs(told["run"]["begun"] / 1e9 - time.time()) < 600
    assert told["run"]["pid"] == ref.id
    assert told["run"]["cgroup"] == "g"
    assert "its root may fill the file system it lies on" in told["run"]["unbound"]
    assert told["run"]["autodestroy"] is True
    assert told["run"]["ephemeral"] is True


async def test_a_domain_that_is_off_has_no_run(rig: Rig) -> None:
    told = rig.domains.describe(await rig.domains.define(domain_xml()))

    assert told["id"] is None
    assert told["run"] is None
    assert told["persistent"] is True


async def test_a_document_is_written_once_until_the_domain_changes(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    managed = rig.domains.of(ref)
    assert written_xml(managed) is None
    first = xml(managed)
    assert written_xml(managed) is first
    assert written_xml(managed, inactive=True) is first
    assert written_xml(managed, secure=True) is None

    await rig.domains.set_memory(ref, 4096, Affect.CONFIG)
    assert written_xml(managed) is None
    assert "4096" in xml(managed)

    await rig.domains.start(ref)
    assert written_xml(managed) is None
    live = xml(managed)
    assert "id='" in live
    assert (written_xml(managed), written_xml(managed, inactive=True)) == (live, None)
    await rig.domains.destroy(ref)
    assert written_xml(managed) is None


async def test_the_defined_side_of_a_transient_domain_is_what_its_run_could_be_started_from(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    text = xml(managed, inactive=True)
    assert "id='" not in text
    assert written_xml(managed, inactive=True) == text
    assert written_xml(managed) is None
