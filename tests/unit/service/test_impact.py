"""Which definition is meant is resolved as libvirt does it."""

import pytest

from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.service.requests import Affect
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH

pytestmark = pytest.mark.asyncio


async def test_what_is_not_there_cannot_be_meant(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await rig.domains.set_memory(ref, 1024, Affect.LIVE)
    await rig.domains.start(ref)
    await rig.domains.undefine(ref)
    with pytest.raises(OperationInvalidError, match="do not have any persistent config"):
        await rig.domains.set_memory(ref, 1024, Affect.CONFIG)
    with pytest.raises(InvalidArgumentError, match="mutually exclusive"):
        rig.domains.memory_parameters(ref, BOTH)
