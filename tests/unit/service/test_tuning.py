"""Limits are found by their names and types, whatever their family."""

import pytest

from insula.errors import ArgumentUnsupportedError, InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from tests.unit.service.fakes import Rig
from tests.unit.service.limits import of_kind, running

pytestmark = pytest.mark.asyncio


async def test_an_unknown_or_mistyped_parameter_is_refused(rig: Rig) -> None:
    ref = await running(rig)
    with pytest.raises(ArgumentUnsupportedError, match="'colour' not supported"):
        await rig.domains.set_memory_parameters(ref, of_kind(ParameterType.ULLONG, colour=1), Affect.LIVE)
    with pytest.raises(InvalidArgumentError, match="invalid type"):
        await rig.domains.set_memory_parameters(ref, of_kind(ParameterType.STRING, hard_limit="1"), Affect.LIVE)
