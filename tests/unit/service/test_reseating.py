"""Guests are moved after events, and whoever dies amid that leaves the truth."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import InsulaError
from insula.model.numbers import Affect
from insula.model.sizes import parse_cpuset
from insula.service import seats as seatchoice
from insula.service.events import DomainIdentity
from insula.service.rundirectory import RunDirectory
from insula.service.seats import Seated
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml, until
from tests.unit.service.hosttree import write
from tests.unit.service.limits import group

pytestmark = pytest.mark.asyncio


async def started(rig: Rig, uuid: UUID, vcpu: str = "<vcpu>2</vcpu>") -> DomainIdentity:
    xml = domain_xml(f"guest{uuid.int}", uuid).replace("<vcpu>2</vcpu>", vcpu)
    return await rig.domains.start(await rig.domains.define(xml))


def seats(rig: Rig, ref: DomainIdentity) -> set[int]:
    """Return what the kernel has, once record and daemon are sure to say the same."""
    kernel = set(parse_cpuset(group(rig, ref).cpuset.cpus))
    (recorded,) = (each.record.seated for each in RunDirectory(rig.layout).load() if each.record.uuid == ref.uuid)
    counted = rig.domains.wiring.reseating.seating.of(ref.uuid)
    assert recorded is not None and recorded == counted == rig.domains.of(ref).require_run().record.seated
    assert recorded.cpus == kernel or len(recorded.cpus) == 7
    return kernel


def known(rig: Rig) -> Seated:
    """Return what the daemon counts as the first guest's."""
    found = rig.domains.wiring.reseating.seating.of(WEB)
    assert found is not None
    return found


async def test_a_guest_moves_to_what_another_one_has_left(rig: Rig) -> None:
    rig.domains.wiring.reseating.begin()
    first = await started(rig, WEB, "<vcpu cpuset='0-1'>1</vcpu>")
    second = await started(rig, MAIL, "<vcpu cpuset='0'>1</vcpu>")
    await until(lambda: rig.domains.of(first).require_run().record.seated == known(rig) and known(rig).cpus == {1})
    assert seats(rig, first) == {1} and seats(rig, second) == {0}


async def test_a_processor_that_goes_offline_is_left_and_taken_again(rig: Rig) -> None:
    guest = await started(rig, WEB, "<vcpu cpuset='5-6'>2</vcpu>")
    assert seats(rig, guest) == {5, 6}
    write(rig.directory / "host", {"sys/devices/system/cpu/online": "0-5\n"})
    await rig.domains.wiring.reseating.level()
    assert seats(rig, guest) == {5}
    write(rig.directory / "host", {"sys/devices/system/cpu/online": "0-6\n"})
    rig.domains.wiring.reseating.processors_changed()
    await rig.domains.wiring.reseating.level()
    assert seats(rig, guest) == {5, 6}


async def test_who_was_moved_before_that_was_written_down_is_where_the_kernel_says(rig: Rig) -> None:
    guest = await started(rig, WEB)
    rig.die()
    group(rig, guest).cpuset.pin_cpus("4,6")
    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.wiring.reseating.level()
    assert known(successor).cpus == {4, 6}
    await successor.close()


@pytest.mark.parametrize("counted", [False, True])
async def test_a_change_that_was_cut_short_holds_if_the_definition_was_written_and_else_does_not(
    rig: Rig, *, counted: bool
) -> None:
    """In between, the guest has the processors, and the definition says so or not."""
    guest = await started(rig, WEB, "<vcpu current='1'>3</vcpu>")
    run = rig.domains.of(guest).require_run()
    group(rig, guest).cpuset.pin_cpus("0,2,4")
    RunDirectory(rig.layout).write(replace(run.record, claiming=True))
    if counted:
        path = RunDirectory(rig.layout).path(WEB) / "domain.xml"
        path.write_text(path.read_text().replace(" current='1'", ""))
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: len(seats(successor, guest)) == (3 if counted else 1))
    assert not RunDirectory(successor.layout).load()[0].record.claiming
    await successor.close()


async def test_a_guest_that_nobody_seated_runs_on_until_it_is_changed(rig: Rig) -> None:
    """As one that a daemon before began, which chose nothing."""
    guest = await started(rig, WEB)
    run = rig.domains.of(guest).require_run()
    RunDirectory(rig.layout).write(replace(run.record, seated=None))
    group(rig, guest).cpuset.pin_cpus("0-6")
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.wiring.reseating.level()
    assert group(successor, guest).cpuset.cpus == "0-6"
    await successor.domains.services.vcpus.set_count(successor.domains.of(guest), 1, Affect.LIVE)
    assert len(seats(successor, guest)) == 1
    await successor.close()


async def test_who_cannot_be_moved_stays_and_others_are_moved(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    guests = [await started(rig, UUID(int=number), "<vcpu cpuset='0-1'>1</vcpu>") for number in (1, 2, 3, 4)]
    assert [min(seats(rig, each)) for each in guests] == [0, 1, 0, 1]
    for each in (guests[0], guests[2]):
        await rig.domains.destroy(each)
    stuck = group(rig, guests[1]).cpuset

    def refuse(cpus: str) -> None:
        raise OSError(13, "Permission denied", "cpuset.cpus")

    monkeypatch.setattr(type(stuck), "pin_cpus", lambda self, cpus: refuse(cpus))
    await rig.domains.wiring.reseating.level()
    assert [min(seats(rig, each)) for each in (guests[1], guests[3])] == [1, 1]
    monkeypatch.undo()
    await rig.domains.wiring.reseating.level()
    assert {min(seats(rig, each)) for each in (guests[1], guests[3])} == {0, 1}


async def test_a_refused_change_of_the_definition_leaves_the_guest_as_it_was(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = await started(rig, WEB)
    before = seats(rig, guest)

    def refuse(self: object, cpus: str) -> None:
        raise OSError(13, "Permission denied", "cpuset.cpus")

    monkeypatch.setattr(type(group(rig, guest).cpuset), "pin_cpus", refuse)
    with pytest.raises(InsulaError, match="the processors of domain 'guest1' stay: Permission denied"):
        await rig.domains.services.vcpus.set_count(rig.domains.of(guest), 1, Affect.LIVE)
    assert seats(rig, guest) == before
    assert rig.domains.vcpu_count(guest, Affect.LIVE) == 2


async def test_who_has_ended_has_no_seat(rig: Rig) -> None:
    guest = await started(rig, WEB)
    await rig.domains.destroy(guest)
    assert rig.domains.wiring.reseating.seating.guests() == {}


async def test_a_start_that_fails_leaves_no_seat(rig: Rig) -> None:
    rig.refusals["clone"] = OSError(12, "Cannot allocate memory")
    with pytest.raises(InsulaError):
        await started(rig, WEB)
    assert rig.domains.wiring.reseating.seating.guests() == {}


async def test_a_seat_survives_being_written_down(rig: Rig, tmp_path: Path) -> None:
    guest = await started(rig, WEB, "<vcpu cpuset='0-3'>2</vcpu>")
    (kept,) = RunDirectory(rig.layout).load()
    assert isinstance(kept.record.seated, Seated)
    assert kept.record.seated == rig.domains.of(guest).require_run().record.seated


async def test_a_levelling_that_fails_is_told_and_made_up_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reseating, moves = rig.domains.wiring.reseating, seatchoice.moves

    def fail(*_: object) -> None:
        raise RuntimeError("nobody thought of that")

    guest = await started(rig, WEB, "<vcpu cpuset='5-6'>2</vcpu>")
    group(rig, guest).cpuset.pin_cpus("5")  # as a processor that has gone offline leaves it
    monkeypatch.setattr(seatchoice, "moves", fail)
    monkeypatch.setattr(reseating, "_pause", 0.0)
    reseating.begin()
    reseating.processors_changed()
    await until(lambda: "nobody thought of that" in caplog.text)
    monkeypatch.setattr(seatchoice, "moves", moves)
    reseating.soon()
    await until(lambda: set(parse_cpuset(group(rig, guest).cpuset.cpus)) == {5, 6})
