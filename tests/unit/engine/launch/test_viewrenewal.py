"""Renewals over a guest that only pretends: whatever fails, and wherever the daemon dies, one of two views is there."""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.engine.keeper.link import completed
from insula.engine.launch import changes, viewrenewal
from insula.engine.launch.changes import RunningChanges
from insula.engine.launch.holdings import GuestMount, Holding, RenewedMount
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.mountchanges import MountChanges
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.launch.viewrenewal import ViewRenewal
from insula.engine.spec import BindMount
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.renewal import AttachBeneath, DetachBeneath, DetachFormer
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationInvalidError, StepError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from tests.plans import UNIFIED
from tests.unit.engine.desk import record_of
from tests.unit.engine.fakes import null

TARGET = "/etc/word"
VIEW = BindMount(source="/srv/word", target=TARGET)
OLD, NEW = 1, 2
FORMER = GuestMount(target=TARGET, device=1, inode=OLD)


class Died(BaseException):
    """The daemon ends here."""


@dataclass(kw_only=True)
class Guest:
    """stack: the ids of the mounts at the place, the top one last; fatal: before which change the daemon dies."""

    newest: ClassVar[int] = NEW
    stack: list[int] = field(default_factory=lambda: [OLD])
    written: str = ""
    fatal: int | None = None
    ticks: int = 0
    refuses: type[GuestStep] | None = None
    nameless: bool = False
    """Whether the former one could not be shown again."""

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
            if type(step) is self.refuses:
                raise StepError("the guest says no", step=str(step))
            match step:
                case AttachBeneath(mount=former):
                    assert self.stack == [former]
                    self.stack.insert(0, self.newest)
                case DetachBeneath(mount=mount, former=former):
                    if self.nameless:
                        raise StepError("the file shown has lost its name", step=str(step))
                    assert self.stack == [mount, former]
                    self.stack = [former]
                case DetachFormer(mount=former):
                    self.stack = [each for each in self.stack if each != former]

    @property
    def record(self) -> ContainerRecord:
        return ContainerRecord.decode(json.loads(self.written))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch(HostStep):
    """Fetch a tree."""

    phrase = "fetch it"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        context.fds["view"] = null()
        return ()


def renewal_of(guest: Guest) -> tuple[ViewRenewal, RunningChanges]:
    made = RunningChanges(
        facts=UNIFIED,
        inside=cast("InsideSteps", guest),
        release=Release(hierarchies=Hierarchies()),
        interfaces=None,
        permitted=lambda: 0,
    )
    return ViewRenewal(facts=UNIFIED, changes=made), made


def running_of(record: ContainerRecord) -> Running:
    return Running(record=record, group=Cgroup(Hierarchies(), "g"), pidfd=Fd(os.pidfd_open(os.getpid())))


def pretend(patched: pytest.MonkeyPatch, guest: Guest) -> None:
    patched.setattr(Cgroup, "frozen", False)
    patched.setattr(changes, "mounts_at", lambda pid, target: list(guest.stack))
    patched.setattr(viewrenewal, "mount_of", lambda tree: NEW)
    patched.setattr(viewrenewal, "shown_at", lambda tree, target: replace(FORMER, inode=NEW))
    patched.setattr(viewrenewal, "fetched_alive", lambda *_: (Fetch(why="-"),))


@settings(max_examples=20, deadline=None)
@given(attached=st.booleans(), refuses=st.sampled_from([None, AttachBeneath, DetachFormer]))
def test_one_of_the_two_is_shown_and_the_record_tells_which_whatever_fails_and_wherever_the_daemon_dies(
    attached: bool, refuses: type[GuestStep] | None
) -> None:
    """attached: while it ran, else from the start."""
    before = record_of(os.getpid())
    before = replace(before, spec=replace(before.spec, mounts=(VIEW,)))
    before = replace(before, holdings=(*before.holdings, *((FORMER,) if attached else ())))
    after = replace(
        before, holdings=tuple(replace(FORMER, inode=NEW) if each is FORMER else each for each in before.holdings)
    )
    fatal = 1
    while True:
        guest = Guest(fatal=fatal, refuses=refuses, written=json.dumps(before.encode()))
        died = False
        with pytest.MonkeyPatch.context() as patched:
            pretend(patched, guest)
            running = running_of(before)
            renewal, _ = renewal_of(guest)
            try:
                completed(renewal.renew(running, TARGET, guest.write))
            except Died:
                died = True
            except StepError:
                assert refuses is not None
            running.close()
            guest.fatal, guest.refuses = None, None
            later = running_of(guest.record)
            completed(renewal_of(guest)[1].settle(later, guest.write))
            assert guest.stack in ([OLD], [NEW])
            assert later.record == guest.record == (before if guest.stack == [OLD] else after)
            later.close()
        if not died:
            assert guest.stack == ([OLD] if refuses is AttachBeneath else [NEW])
            break
        fatal += 1
    assert fatal > 2


def test_what_was_left_to_do_is_done_before_anything_is_renewed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest(refuses=DetachFormer)
    pretend(monkeypatch, guest)
    record = record_of(os.getpid())
    running = running_of(replace(record, spec=replace(record.spec, mounts=(VIEW,))))
    renewal, _ = renewal_of(guest)
    with pytest.raises(StepError, match="the guest says no"):
        completed(renewal.renew(running, TARGET, guest.write))
    assert guest.stack == [NEW, OLD], "it is as good as done"
    guest.refuses = None
    monkeypatch.setattr(changes, "mounts_at", lambda pid, target: [])
    with pytest.raises(OperationInvalidError, match="nothing is mounted at /etc/word of web"):
        completed(renewal.renew(running, TARGET, guest.write))
    assert guest.stack == [NEW]
    running.close()


def test_only_what_the_host_shows_alone_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest(stack=[OLD, 7])
    pretend(monkeypatch, guest)
    running = running_of(record_of(os.getpid()))
    renewal, _ = renewal_of(guest)
    with pytest.raises(OperationInvalidError, match="nothing of the host's is shown at"):
        completed(renewal.renew(running, TARGET))
    running.record = replace(running.record, spec=replace(running.record.spec, mounts=(VIEW,)))
    with pytest.raises(OperationInvalidError, match="several mounts are at"):
        completed(renewal.renew(running, TARGET))
    running.close()


@pytest.mark.parametrize("attached", [True, False])
def test_one_that_could_not_be_taken_back_is_told_by_the_record_and_seen_once_it_is_renewed_again(
    monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    guest = Guest(nameless=True)
    pretend(monkeypatch, guest)
    record = record_of(os.getpid(), holdings=(FORMER,) if attached else ())
    running = running_of(replace(record, spec=replace(record.spec, mounts=(VIEW,))))
    renewal, changing = renewal_of(guest)

    def refuse(record: ContainerRecord) -> None:
        if guest.stack == [NEW, OLD]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as caught:
        completed(renewal.renew(running, TARGET, refuse))
    assert any("has lost its name" in each for each in caught.value.__notes__)
    assert any(isinstance(each, RenewedMount) for each in running.record.holdings)
    if attached:
        with pytest.raises(OperationInvalidError, match="was cut short: renew it again first"):
            completed(MountChanges(facts=UNIFIED, changes=changing).detach(running, TARGET))
    monkeypatch.setattr(viewrenewal, "mount_of", lambda tree: NEW + 1)
    newest = replace(FORMER, inode=NEW + 1)
    monkeypatch.setattr(viewrenewal, "shown_at", lambda tree, target: newest)
    monkeypatch.setattr(Guest, "newest", NEW + 1)
    completed(renewal.renew(running, TARGET, guest.write))
    assert guest.stack == [NEW + 1]
    assert running.record.holdings == ((newest,) if attached else ())
    running.close()
