"""Limits of guests that run: those that hold are those that are told, whoever dies or refuses amid a change."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.spec import Bytes, Limits
from insula.errors import InsulaError
from insula.kernel.cgroups import BlockLimit
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect
from insula.service.livelimits import limits_instead
from insula.service.rundirectory import RunDirectory
from insula.testing.fakegroups import FakeMemory
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.limits import group, running

MIB = 1 << 20


def recorded(rig: Rig) -> tuple[Limits | None, int]:
    """Return what the record says is being put, and what it tells of the memory limit."""
    (kept,) = RunDirectory(rig.layout).load()
    assert kept.record.container is not None
    return kept.record.limiting, kept.record.container["spec"]["limits"]["memory"]


@pytest.mark.asyncio
async def test_a_limit_that_was_put_and_never_counted_is_taken_back_by_the_next_daemon(
    rig: Rig, tmp_path: Path
) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 48 << 10, Affect.LIVE)
    run = rig.domains.of(ref).require_run()
    RunDirectory(rig.layout).write(replace(run.record, limiting=Limits(memory=Bytes(32 * MIB), cpu_shares=77)))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()

    await until(lambda: recorded(successor)[0] is None)
    assert recorded(successor) == (None, 48 * MIB)
    assert group(successor, ref).memory.limits["memory"] == 48 * MIB
    assert group(successor, ref).cpu.shares == 1024
    await successor.close()


def test_a_domain_that_says_nothing_of_processes_gets_the_usual_number_back() -> None:
    domain = DomainDefinition.load(domain_xml())
    assert limits_instead(domain, Limits(pids=100), 4096) == Limits(pids=4096)


@pytest.mark.asyncio
async def test_nothing_is_put_on_a_guest_whose_limits_nobody_was_changing(rig: Rig, tmp_path: Path) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 48 << 10, Affect.LIVE)
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: group(successor, ref).memory.undone == 1)

    assert group(successor, ref).memory.limits == {"memory": 48 << 20}
    await successor.close()


@pytest.mark.asyncio
async def test_what_the_kernel_refuses_leaves_the_limit_that_was_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 48 << 10, Affect.LIVE)
    put = FakeMemory.limit

    def half(self: FakeMemory, memory: int | None = None, memory_and_swap: int | None = None) -> None:
        put(self, memory, memory_and_swap)
        if memory == 32 * MIB:
            raise OSError(errno.EBUSY, "in use")

    monkeypatch.setattr(FakeMemory, "limit", half)
    with pytest.raises(InsulaError, match="in use"):
        await rig.domains.set_memory(ref, 32 << 10, Affect.LIVE)

    assert group(rig, ref).memory.limits["memory"] == 48 * MIB
    assert recorded(rig) == (None, 48 * MIB)
    assert "<currentMemory unit='KiB'>49152<" in rig.domains.dump_xml(ref)


def test_instead_of_what_was_put_there_is_what_the_domain_says_and_else_nothing() -> None:
    domain = DomainDefinition.load(domain_xml(more="<cputune><shares>512</shares></cputune>"))
    rates = BlockLimit(major=8, minor=0, weight=None, read_bytes=100)
    put = Limits(memory=Bytes(1), cpu_shares=1, pids=7, block_devices=(rates,))

    instead = limits_instead(domain, put, 4096)

    assert (instead.memory, instead.cpu_shares) == (64 * MIB, 512)
    assert instead.pids == 4096
    assert instead.block_devices == (replace(rates, read_bytes=0),)
    assert instead.cpu_quota is None


@pytest.mark.asyncio
async def test_where_the_definition_is_not_written_the_record_says_that_limits_may_have_to_be_taken_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await running(rig)
    owed = RunDirectory.owes_domain
    monkeypatch.setattr(RunDirectory, "owes_domain", lambda directory, uuid: True)
    await rig.domains.set_memory(ref, 48 << 10, Affect.LIVE)
    assert recorded(rig)[0] == Limits(memory=Bytes(48 * MIB))

    monkeypatch.setattr(RunDirectory, "owes_domain", owed)
    await rig.domains.set_memory(ref, 40 << 10, Affect.LIVE)
    assert recorded(rig) == (None, 40 * MIB)
