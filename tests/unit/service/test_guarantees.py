"""What guests are guaranteed in sum is what the host has, at most."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from insula.daemon.memorysettings import MemorySettings
from insula.errors import InsulaError, OperationFailedError
from insula.model.numbers import Affect, ParameterType
from insula.model.sizes import KiB
from insula.service.events import DomainIdentity
from insula.service.parameters import Parameter
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Rig]:
    """A host of 16000 KiB, 4000 of which are its own."""
    made = Rig(tmp_path, memory=MemorySettings(guaranteed_reserve=KiB(4000)))
    await made.domains.recover()
    yield made
    await made.close()


def guarantee(size: int) -> str:
    return f"<memtune><min_guarantee>{size}</min_guarantee></memtune>"


async def defined(rig: Rig, number: int, size: int) -> DomainIdentity:
    return await rig.domains.define(domain_xml(f"guest{number}", UUID(int=number), guarantee(size)))


async def test_a_start_that_would_promise_more_than_there_is_is_refused_in_words(strict: Rig) -> None:
    one, other = await defined(strict, 1, 8000), await defined(strict, 2, 6000)
    await strict.domains.start(one)
    with pytest.raises(OperationFailedError, match=r"'guest2' is to be guaranteed 6000 KiB.* has 4000 KiB left"):
        await strict.domains.start(other)
    assert not strict.domains.is_active(other)
    await strict.domains.destroy(one)
    await strict.domains.start(other)


async def test_two_starts_at_once_do_not_both_take_the_last_of_it(strict: Rig) -> None:
    refs = [await defined(strict, number, 8000) for number in (1, 2)]
    outcomes = await asyncio.gather(*map(strict.domains.start, refs), return_exceptions=True)
    assert sum(isinstance(each, OperationFailedError) for each in outcomes) == 1


async def test_a_start_that_fails_gives_back_what_it_was_to_have(strict: Rig) -> None:
    one, other = await defined(strict, 1, 8000), await defined(strict, 2, 8000)
    strict.refusals["clone"] = OSError(11, "no processes")
    with pytest.raises((OSError, InsulaError)):
        await strict.domains.start(one)
    strict.refusals.clear()
    await strict.domains.start(other)


async def test_a_running_guest_is_guaranteed_no_more_than_is_left(strict: Rig) -> None:
    one, other = await defined(strict, 1, 8000), await defined(strict, 2, 2000)
    await strict.domains.start(one)
    await strict.domains.start(other)

    async def tune(size: int) -> None:
        await strict.domains.set_memory_parameters(
            other, [Parameter("min_guarantee", ParameterType.ULLONG, size)], Affect.LIVE
        )

    await tune(4000)
    with pytest.raises(OperationFailedError, match="lower min_guarantee"):
        await tune(6000)
    told = {each.name: each.value for each in strict.domains.memory_parameters(other, Affect.LIVE)}
    assert told["min_guarantee"] == 4000
    await tune(0)


async def test_a_guest_that_reboots_has_what_it_had(strict: Rig) -> None:
    one, other = await defined(strict, 1, 8000), await defined(strict, 2, 8000)
    await strict.domains.start(one)
    await strict.domains.reset(one)
    with pytest.raises(OperationFailedError, match="left for that"):
        await strict.domains.start(other)
    assert strict.domains.is_active(one)


async def test_nobody_looks_at_the_sum_unless_it_is_asked_for(rig: Rig) -> None:
    for number in (1, 2, 3):
        await rig.domains.start(await defined(rig, number, 200_000))
