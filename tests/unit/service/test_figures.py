"""What a domain has right now."""

from pathlib import Path
from uuid import UUID

import pytest

from insula.service.figures import figures
from insula.storage.clones import Clone
from tests.unit.service.fakes import Rig, domain_xml


@pytest.mark.asyncio
async def test_a_domain_that_runs_has_its_figures_and_one_that_is_off_has_what_is_left(
    rig: Rig, tmp_path: Path
) -> None:
    identity = await rig.domains.create_xml(domain_xml())
    managed = rig.domains.services.domains.by_uuid(identity.uuid)
    (tmp_path / "upper").mkdir()
    clone = Clone(uuid=UUID(int=1), image="busybox", directory=tmp_path)
    told = figures(managed, clone)
    assert told["memory_used"] is not None and told["addresses"] == []
    assert told["disk"] == {"path": str(tmp_path), "used": told["disk"]["used"], "partial": False}
    await rig.domains.destroy(identity)
    assert figures(managed, None)["disk"] is None
