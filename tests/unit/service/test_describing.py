"""Everything there is to tell about a domain, as JSON values."""

import json
import time

import pytest

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
