"""How much memory a domain may use, with libvirt's checks."""

import contextlib
from typing import Any

import pytest

from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.numbers import Affect, ParameterType
from insula.model.sizes import UNLIMITED_KIB
from insula.service.events import BalloonChange, LimitChangeFailed
from insula.service.impact import Changes
from insula.service.rundirectory import RunDirectory
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH, group, of_kind, running, values

pytestmark = pytest.mark.asyncio


async def test_memory_can_be_changed_live_and_for_the_next_start(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 32768, BOTH)

    assert group(rig, ref).memory.limits["memory"] == 32768 * 1024
    for inactive in (False, True):
        assert "<currentMemory unit='KiB'>32768<" in rig.domains.dump_xml(ref, inactive=inactive)
    assert rig.told == [BalloonChange(domain=ref, actual=32768)]


async def test_the_record_tells_of_the_limits_that_hold_now(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 32768, Affect.LIVE)

    (kept,) = RunDirectory(rig.layout).load()
    assert kept.record.container is not None
    assert kept.record.container["spec"]["limits"]["memory"] == 32768 * 1024


async def test_live_changes_vanish_with_the_run_and_persistent_ones_wait_for_the_next(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 32768, Affect.LIVE)
    await rig.domains.set_memory(ref, 16384, Affect.CONFIG)

    assert group(rig, ref).memory.limits["memory"] == 32768 * 1024
    await rig.domains.destroy(ref)
    assert "<currentMemory unit='KiB'>16384<" in rig.domains.dump_xml(ref)


async def test_current_means_live_while_it_runs_and_persistent_otherwise(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_memory(ref, 16384, Affect.CURRENT)
    assert "<currentMemory unit='KiB'>16384<" in rig.domains.dump_xml(ref, inactive=True)
    await rig.domains.start(ref)
    await rig.domains.set_memory(ref, 32768, Affect.CURRENT)

    assert "<currentMemory unit='KiB'>16384<" in rig.domains.dump_xml(ref, inactive=True)
    assert "<currentMemory unit='KiB'>32768<" in rig.domains.dump_xml(ref)


async def test_more_memory_than_the_maximum_is_refused(rig: Rig) -> None:
    ref = await running(rig)
    for affect in (Affect.LIVE, Affect.CONFIG, BOTH):
        with pytest.raises(InvalidArgumentError, match="cannot set memory higher than max memory"):
            await rig.domains.set_memory(ref, 65537, affect)
    assert group(rig, ref).memory.limits == {"memory": 64 << 20}


async def test_a_limit_that_would_get_the_guests_programs_killed_is_refused(rig: Rig) -> None:
    ref = await running(rig)
    group(rig, ref).memory.anonymous = 1 << 50

    with pytest.raises(OperationFailedError, match="free memory inside"):
        await rig.domains.set_memory(ref, 1024, Affect.LIVE)
    assert "<currentMemory unit='KiB'>65536<" in rig.domains.dump_xml(ref)


async def test_what_tmpfs_holds_counts_as_what_cannot_be_dropped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.engine.launch.limits.read_meminfo", lambda path: {"SwapFree": 0})
    ref = await running(rig)
    group(rig, ref).memory.shared = 30 << 20

    with pytest.raises(OperationFailedError, match=f"holds {(8 + 30) * 1024} KiB"):
        await rig.domains.set_memory(ref, 37 * 1024, Affect.LIVE)
    await rig.domains.set_memory(ref, 38 * 1024, Affect.LIVE)


@pytest.mark.parametrize(
    ("memory", "with_swap", "refused"),
    [
        (64 << 20, None, False),
        (20 << 20, 40 << 20, False),
        (20 << 20, 38 << 20, True),
        (4 << 20, 8 << 20, True),
        (64 << 20, 64 << 20, True),  # no swap at all, as guests have by default: it stays so
    ],
)
async def test_swap_counts_as_far_as_the_guest_may_have_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, memory: int, with_swap: int | None, refused: bool
) -> None:
    """8 MiB are anonymous, 30 MiB shared, and the limit is to be 16 MiB."""
    monkeypatch.setattr("insula.engine.launch.limits.read_meminfo", lambda path: {"SwapFree": 1 << 20})
    ref = await running(rig)
    held = group(rig, ref).memory
    held.shared = 30 << 20
    held.swap = 1 << 20
    held.limits = {"memory": memory} if with_swap is None else {"memory": memory, "swap": with_swap}

    with pytest.raises(OperationFailedError) if refused else contextlib.nullcontext():
        await rig.domains.set_memory(ref, 16 * 1024, Affect.LIVE)


@pytest.mark.parametrize(("with_swap", "refused"), [(64, False), (20, True)])
async def test_swap_that_is_given_with_the_limit_counts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, with_swap: int, refused: bool
) -> None:
    """8 MiB are anonymous, 30 MiB shared, there is no swap yet, and the limit is to be 16 MiB."""
    monkeypatch.setattr("insula.engine.launch.limits.read_meminfo", lambda path: {"SwapFree": 1 << 20})
    ref = await running(rig)
    held = group(rig, ref).memory
    held.shared = 30 << 20
    held.limits = {"memory": 64 << 20, "swap": 64 << 20}
    wanted = of_kind(ParameterType.ULLONG, hard_limit=16 * 1024, swap_hard_limit=with_swap * 1024)

    with pytest.raises(OperationFailedError) if refused else contextlib.nullcontext():
        await rig.domains.set_memory_parameters(ref, wanted, Affect.LIVE)


async def test_the_maximum_changes_for_the_next_start_only(rig: Rig) -> None:
    ref = await running(rig)
    for affect in (Affect.CURRENT, Affect.LIVE, BOTH):
        with pytest.raises(OperationInvalidError, match="cannot resize the max memory on an active domain"):
            await rig.domains.set_maximum_memory(ref, 131072, affect)
    await rig.domains.set_maximum_memory(ref, 32768, Affect.CONFIG)

    assert rig.domains.of(ref).current.memory == 65536
    inactive = rig.domains.dump_xml(ref, inactive=True)
    assert "<memory unit='KiB'>32768<" in inactive
    assert "<currentMemory unit='KiB'>32768<" in inactive


async def test_no_memory_at_all_is_refused(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(InvalidArgumentError):
        await rig.domains.set_memory(ref, 0, Affect.CONFIG)
    with pytest.raises(InvalidArgumentError):
        await rig.domains.set_maximum_memory(ref, 0, Affect.CONFIG)


async def test_unset_limits_are_libvirts_word_for_unlimited(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())

    assert values(rig.domains.memory_parameters(ref, Affect.CONFIG)) == {
        "hard_limit": UNLIMITED_KIB,
        "soft_limit": UNLIMITED_KIB,
        "swap_hard_limit": UNLIMITED_KIB,
        "min_guarantee": 0,
    }


async def test_limits_are_written_to_the_group_and_read_back_from_it(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_memory_parameters(
        ref,
        of_kind(ParameterType.ULLONG, hard_limit=40000, soft_limit=30000, swap_hard_limit=50000, min_guarantee=100),
        BOTH,
    )

    assert group(rig, ref).memory.limits == {
        "memory": 40000 * 1024,
        "swap": 50000 * 1024,
        "soft": 30000 * 1024,
        "guarantee": 100 * 1024,
    }
    wanted = {"hard_limit": 40000, "soft_limit": 30000, "swap_hard_limit": 50000, "min_guarantee": 100}
    assert values(rig.domains.memory_parameters(ref, Affect.LIVE)) == wanted
    assert values(rig.domains.memory_parameters(ref, Affect.CONFIG)) == wanted


async def test_taking_a_hard_limit_away_leaves_the_memory_of_the_domain(rig: Rig) -> None:
    ref = await running(rig, "<memtune><hard_limit>40000</hard_limit></memtune>")
    await rig.domains.set_memory_parameters(ref, of_kind(ParameterType.ULLONG, hard_limit=UNLIMITED_KIB), Affect.LIVE)

    assert group(rig, ref).memory.limits["memory"] == 65536 * 1024


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"hard_limit": 60000, "swap_hard_limit": 50000}, "lower than or equal to swap_hard_limit"),
        ({"swap_hard_limit": 50000}, "lower than or equal to swap_hard_limit"),
        ({"hard_limit": 0}, "leaves the domain no memory"),
        ({"hard_limit": UNLIMITED_KIB + 1}, "must be less than"),
    ],
)
async def test_limits_that_make_no_sense_are_refused_and_nothing_changes(
    rig: Rig, wanted: dict[str, int], error: str
) -> None:
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match=error):
        await rig.domains.set_memory_parameters(ref, of_kind(ParameterType.ULLONG, **wanted), BOTH)

    assert group(rig, ref).memory.limits == {"memory": 64 << 20}
    assert "memtune" not in rig.domains.dump_xml(ref, inactive=True)


async def test_memory_that_a_guest_could_not_be_given_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OperationFailedError("the kernel says no")

    ref = await running(rig)
    monkeypatch.setattr(Changes, "change", fail)
    for affect in (Affect.LIVE, Affect.CONFIG):
        with pytest.raises(OperationFailedError):
            await rig.domains.set_memory(ref, 48 << 10, affect)
    (failed,) = (each for each in rig.told if isinstance(each, LimitChangeFailed))
    assert (failed.resource, failed.wanted) == ("mem", 48 << 10), "what is only defined is no guest's"
