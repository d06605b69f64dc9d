"""What a later daemon finds of a guest: from the keeper, or by its pid; what cannot be found out is no end."""

import os
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.facts import Facts
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch import succession
from insula.engine.launch.succession import Held
from insula.engine.launch.systemdscope import Scope, Scopes
from insula.errors import KeeperError, OperationFailedError
from insula.kernel.cgroups import machine_name
from insula.kernel.process import start_time
from tests.descriptors import open_fds
from tests.plans import SYSTEMD, UNIFIED
from tests.unit.engine.desk import Desk, desk_of, record_of

UNKNOWN = KeeperError("no guest with the UUID is held")


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_of(monkeypatch, UNIFIED)


def test_a_guest_that_the_keeper_holds_under_another_pid_is_not_the_recorded_one(desk: Desk) -> None:
    before = open_fds()
    desk.holds("RUNNING")
    assert completed(desk.launcher.succession.recover(replace(record_of(desk.keeper.pid), pid=2**22 + 1))) is None
    assert open_fds() == before


@pytest.mark.parametrize("call", ["pidfd_open", "lives"])
def test_what_cannot_be_found_out_is_no_end(desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def exhausted(*_: Any) -> Any:
        raise OSError(24, "Too many open files")

    before = open_fds()
    desk.keeper.answers[Verb.FETCH] = [UNKNOWN]
    monkeypatch.setattr(os if call == "pidfd_open" else succession, call, exhausted)
    with pytest.raises(OSError, match="Too many open files"):
        completed(desk.launcher.succession.recover(record_of(os.getpid())))
    assert open_fds() == before


def test_one_that_the_next_keeper_refuses_is_not_lost(desk: Desk) -> None:
    before = open_fds()
    desk.keeper.answers = {Verb.FETCH: [UNKNOWN], Verb.ADOPT: [KeeperError("it is dying")]}
    with pytest.raises(KeeperError, match="it is dying"):
        completed(desk.launcher.succession.recover(record_of(os.getpid())))
    assert open_fds() == before


def test_a_guest_that_only_the_keeper_knows_is_found_by_its_groups(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(uuid="u", pid=os.getpid(), phase=StartPhase.RUNNING, status=None)
    monkeypatch.setattr(succession, "groups_of", lambda pid: {"": "machine.slice/a.scope/payload/init.scope"})
    running = desk.launcher.succession.unrecorded(held, "web")
    assert (running.group.path, running.pid, running.name) == ("machine.slice/a.scope", os.getpid(), "web")
    assert running.record.born == start_time(os.getpid())
    assert not running.described
    monkeypatch.setattr(succession, "groups_of", lambda pid: {"memory": "machine.slice/a.scope", "name=systemd": ""})
    assert desk.launcher.succession.unrecorded(held, "web").group.path == "machine.slice/a.scope"
    monkeypatch.setattr(succession, "groups_of", lambda pid: {"": "user.slice"})
    with pytest.raises(OperationFailedError, match="none that was made for a guest"):
        desk.launcher.succession.unrecorded(held, "web")


@pytest.mark.parametrize(
    ("phase", "lives"),
    [
        (StartPhase.CLONED, False),
        (StartPhase.STARTING, False),
        (StartPhase.HELD, True),
        (StartPhase.EXECUTING, True),
        (StartPhase.RUNNING, True),
        (StartPhase.EXITED, False),
    ],
)
def test_what_has_come_as_far_as_its_program_lives(phase: StartPhase, lives: bool) -> None:
    assert Held(uuid="u", pid=1, phase=phase, status=None).lives == lives


@pytest.mark.parametrize("facts", [UNIFIED, SYSTEMD])
def test_systemds_register_is_told_of_who_is_found_again_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, facts: Facts
) -> None:
    told: list[tuple[Scope, bool]] = []
    monkeypatch.setattr(Scopes, "register", lambda _, scope, *, perhaps: told.append((scope, perhaps)))
    desk = desk_of(monkeypatch, facts)
    desk.holds("RUNNING")
    record = record_of(desk.keeper.pid)
    running = completed(desk.launcher.succession.recover(record))
    assert running is not None
    running.close()
    name = machine_name(record.id, record.spec.name)
    assert [(scope.machine, scope.leader, perhaps) for scope, perhaps in told] == (
        [(name, record.pid, True)] if facts is SYSTEMD else []
    )
