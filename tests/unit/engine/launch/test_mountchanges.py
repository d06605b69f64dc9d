"""Mounts that come and go over a guest that only pretends: the record is true wherever the daemon dies."""

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from insula.engine.keeper.link import completed
from insula.engine.launch import changes, mountchanges
from insula.engine.launch.changes import RunningChanges
from insula.engine.launch.holdings import AddedMount, FormerMount, GuestMount
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.mountchanges import MountChanges
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import BindMount, GuestBindMount, TmpfsMount
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.renewal import DetachFormer
from insula.engine.steps.guest.roottree import DetachMount, ShowElsewhere, TakeMountOff
from insula.errors import OperationInvalidError, StepError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from tests.plans import UNIFIED
from tests.unit.engine.desk import record_of

START, ATTACHED = TmpfsMount(target="/start"), BindMount(source="/srv", target="/attached")
HELD = GuestMount(target="/attached", device=1, inode=2)


class Died(BaseException):
    """The daemon ends here."""


@dataclass(kw_only=True)
class Guest:
    """mounts: ids of the mounts at each place; fatal: before which change the daemon dies; busy: places in use."""

    mounts: dict[str, list[int]] = field(default_factory=lambda: {"/start": [7], "/attached": [8]})
    written: str = ""
    fatal: int | None = None
    ticks: int = 0
    busy: tuple[str, ...] = ()

    def tick(self) -> None:
        self.ticks += 1
        if self.fatal is not None and self.ticks >= self.fatal:
            raise Died

    def write(self, record: ContainerRecord) -> None:
        self.tick()
        self.written = json.dumps(record.encode())

    async def perform(
        self, running: Running, steps: Sequence[GuestStep], fds: Mapping[str, int], *, permitted: int
    ) -> None:
        for step in steps:
            self.tick()
            match step:
                case TakeMountOff(target=target, force=force) | DetachMount(target=target, force=force):
                    if target in self.busy and not force:
                        raise StepError("it is in use", step=str(step), errno=errno.EBUSY)
                    self.mounts.pop(target)
                case ShowElsewhere(target=target):
                    self.mounts.setdefault(target, []).append(9)
                case DetachFormer(target=target, mount=mount):
                    self.mounts[target].remove(mount)

    @property
    def record(self) -> ContainerRecord:
        return ContainerRecord.decode(json.loads(self.written))


def changes_of(guest: Guest) -> MountChanges:
    made = RunningChanges(
        facts=UNIFIED,
        inside=cast("InsideSteps", guest),
        release=Release(hierarchies=Hierarchies()),
        interfaces=None,
        permitted=lambda: 0,
    )
    return MountChanges(facts=UNIFIED, changes=made)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest()
    monkeypatch.setattr(changes, "mounts_at", lambda pid, target: list(made.mounts.get(target, [])))
    monkeypatch.setattr(mountchanges, "all_mounts", lambda pid: frozenset().union(*made.mounts.values()))
    monkeypatch.setattr(Cgroup, "frozen", False)
    return made


@pytest.fixture
def running(guest: Guest) -> Iterator[Running]:
    record = record_of(os.getpid(), holdings=(HELD,))
    record = replace(record, spec=replace(record.spec, mounts=(START, ATTACHED)))
    made = Running(record=record, group=Cgroup(Hierarchies(), "g"), pidfd=Fd(os.pidfd_open(os.getpid())))
    yield made
    made.close()


def test_what_the_spec_has_is_taken_off_until_it_has_nothing(guest: Guest, running: Running) -> None:
    mounts = changes_of(guest)
    with pytest.raises(OperationInvalidError, match="something is attached at /start of web already"):
        completed(mounts.attach(running, START, guest.write))
    for target in ("/start", "/attached"):
        completed(mounts.detach(running, target, guest.write))
        with pytest.raises(OperationInvalidError, match=f"nothing was attached at {target} of web"):
            completed(mounts.detach(running, target, guest.write))
    assert (guest.mounts, guest.record.spec.mounts) == ({}, ())
    assert HELD not in guest.record.holdings


@pytest.mark.parametrize("target", ["/start", "/attached"])
def test_what_is_in_use_stays_and_goes_by_force(guest: Guest, running: Running, target: str) -> None:
    mounts, before = changes_of(guest), running.record
    guest.busy = (target,)
    with pytest.raises(StepError) as caught:
        completed(mounts.detach(running, target, guest.write, force=False))
    assert caught.value.errno == errno.EBUSY
    assert running.record == before == guest.record
    completed(mounts.detach(running, target, guest.write, force=True))
    assert target not in guest.mounts


@pytest.mark.parametrize("target", ["/start", "/attached"])
def test_the_next_daemon_knows_whether_a_mount_went_with_the_one_before(
    guest: Guest, running: Running, target: str
) -> None:
    """Whatever is being written or done when it dies, the record says afterwards what is mounted."""
    before, outcomes = running.record, set()
    for fatal in range(1, 5):
        guest.mounts, guest.ticks, guest.fatal = {"/start": [7], "/attached": [8]}, 0, fatal
        guest.written, running.record = json.dumps(before.encode()), before
        try:
            completed(changes_of(guest).detach(running, target, guest.write))
        except Died:
            guest.fatal = None
        running.record = guest.record
        guest.fatal = None
        completed(changes_of(guest).settle(running, guest.write))
        assert {each.target for each in running.record.spec.mounts} == set(guest.mounts)
        assert all(getattr(each, "made", True) for each in running.record.holdings)
        assert (HELD in running.record.holdings) == ("/attached" in guest.mounts)
        outcomes.add(target in guest.mounts)
    assert outcomes == {True, False}


def test_what_is_not_to_be_told_from_the_guests_own_is_left(guest: Guest, running: Running) -> None:
    guest.mounts["/start"].append(70)
    with pytest.raises(OperationInvalidError, match="several mounts are at /start"):
        completed(changes_of(guest).detach(running, "/start"))
    guest.mounts["/start"].clear()
    with pytest.raises(OperationInvalidError, match="nothing is mounted at /start"):
        completed(changes_of(guest).detach(running, "/start"))
    running.record = replace(running.record, holdings=(FormerMount(target="/attached", mount=3),))
    with pytest.raises(OperationInvalidError, match=r"the renewal of /attached .* was cut short"):
        completed(changes_of(guest).detach(running, "/attached"))


def test_what_is_the_guests_own_is_shown_elsewhere_or_taken_back(guest: Guest, running: Running) -> None:
    own = GuestBindMount(source="/etc", target="/own")
    completed(changes_of(guest).attach(running, own, guest.write))
    assert (guest.mounts["/own"], guest.record.spec.mounts[-1]) == ([9], own)
    assert not any(isinstance(each, AddedMount) for each in guest.record.holdings)
    before = running.record

    def refuse(record: ContainerRecord) -> None:
        if guest.mounts.get("/more"):
            raise OSError(errno.ENOSPC, "No space left on device")
        guest.write(record)

    with pytest.raises(OSError, match="No space"):
        completed(changes_of(guest).attach(running, replace(own, target="/more"), refuse))
    assert (guest.mounts["/more"], running.record) == ([], before)
    assert AddedMount(target="/more", former=None) not in running.record.holdings
