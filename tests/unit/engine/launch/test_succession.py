"""What a later daemon finds of a guest: from the keeper, or by its pid; what cannot be found out is no end."""

import os
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.exitstatus import ExitMeaning, ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch import succession
from insula.engine.launch.machineregister import Machine
from insula.engine.launch.succession import Held
from insula.engine.launch.systemdscope import Scopes
from insula.errors import KeeperError, OperationFailedError
from insula.kernel.cgroups import machine_name
from insula.kernel.process import start_time
from tests.descriptors import open_fds
from tests.plans import SYSTEMD, UNIFIED
from tests.unit.engine.desk import Desk, desk_of, record_of
from tests.unit.engine.fakes import GROUP, SPEC, null

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
    told: list[tuple[Machine, bool]] = []
    monkeypatch.setattr(Scopes, "register", lambda _, machine, manager, *, perhaps: told.append((machine, perhaps)))
    desk = desk_of(monkeypatch, facts)
    desk.holds("RUNNING")
    record = replace(record_of(desk.keeper.pid), group="machine.slice/machine-a.scope/insula")
    running = completed(desk.launcher.succession.recover(record))
    assert running is not None
    running.close()
    name = machine_name(record.id, record.spec.name)
    assert [(each.name, each.leader, each.unit, perhaps) for each, perhaps in told] == (
        [(name, record.pid, "machine-a.scope", True)] if facts is SYSTEMD else []
    )


def test_all_that_the_keeper_holds_is_told(desk: Desk) -> None:
    guests = [
        {"uuid": "a", "pid": 7, "state": "RUNNING", "status": None},
        {"uuid": "b", "pid": 8, "state": "EXITED", "status": 256},
        {"uuid": "c", "pid": 9, "state": "EXITED", "status": None},
    ]
    entered = {"uuid": "a", "pid": os.getpid(), "status": None}
    executions = [
        {"id": "4", **entered, "state": "RUNNING"},
        {"id": "5", **entered, "state": "EXITED", "status": 9},
        {"id": "6", **entered, "state": "CLONED"},
    ]
    desk.keeper.answers[Verb.HELLO] = [{"guests": guests, "executions": executions}] * 2
    assert completed(desk.launcher.succession.held()) == [
        Held(uuid="a", pid=7, phase=StartPhase.RUNNING, status=None),
        Held(uuid="b", pid=8, phase=StartPhase.EXITED, status=ExitStatus(status=256)),
        Held(uuid="c", pid=9, phase=StartPhase.EXITED, status=ExitStatus(status=None)),
    ]
    running, ended = completed(desk.launcher.succession.entered())
    opened = desk.launcher.succession.opened(running)
    assert opened is not None and (opened.id, opened.pid) == ("4", os.getpid())
    os.close(opened.pidfd)
    assert (ended.id, ended.ended, ended.status, desk.launcher.succession.opened(ended)) == ("5", True, 9, None)
    assert not [each for each in desk.keeper.asked if each.verb is Verb.FORGET]


def test_a_container_is_recovered_from_the_keeper_with_what_it_said_meanwhile(desk: Desk) -> None:
    before, record = open_fds(), record_of(desk.keeper.pid)
    desk.holds("RUNNING")
    running = completed(desk.launcher.succession.recover(record))
    assert running is not None
    assert running.record == record
    assert running.group.path == GROUP
    assert len(running.consoles) == 2
    assert running.said == [b"", b"Debian GNU/Linux"]
    assert (running.awaiting_exec, running.status) == (False, None)
    running.close()
    assert open_fds() == before


@pytest.mark.parametrize(
    ("phase", "held", "status"),
    [("HELD", True, None), ("EXITED", False, ExitStatus(status=15)), ("EXECUTING", False, None)],
)
def test_a_recovered_container_is_as_far_as_it_is(
    desk: Desk, phase: str, held: bool, status: ExitStatus | None
) -> None:
    desk.holds(phase, 15 if status else None)
    running = completed(desk.launcher.succession.recover(record_of(desk.keeper.pid)))
    assert running is not None
    assert (running.awaiting_exec, running.status) == (held, status)
    running.close()


def test_one_that_the_keeper_does_not_hold_is_found_by_its_pid_and_handed_over(
    desk: Desk, program: "subprocess.Popen[bytes]"
) -> None:
    desk.keeper.answers[Verb.FETCH] = [UNKNOWN]
    running = completed(desk.launcher.succession.recover(record_of(program.pid)))
    assert running is not None
    assert running.consoles == []
    asked = desk.keeper.last(Verb.ADOPT)
    assert (asked.body, asked.fds) == (
        {"uuid": SPEC.uuid, "launch": None, "pid": program.pid, "born": start_time(program.pid)},
        ("pidfd",),
    )
    running.close()


@pytest.mark.parametrize("changes", [{"born": 1}, {"boot": "another boot"}])
def test_another_process_under_the_same_pid_is_not_taken_for_it(
    desk: Desk, program: "subprocess.Popen[bytes]", changes: dict[str, Any]
) -> None:
    before = open_fds()
    desk.keeper.answers[Verb.FETCH] = [UNKNOWN]
    assert completed(desk.launcher.succession.recover(record_of(program.pid, **changes))) is None
    assert Verb.ADOPT not in desk.keeper.verbs()
    assert open_fds() == before


def test_how_one_ended_while_there_was_no_keeper_is_asked_of_the_next(
    desk: Desk, program: "subprocess.Popen[bytes]"
) -> None:
    record = record_of(program.pid)
    program.kill()
    program.wait()
    desk.keeper.answers[Verb.FETCH] = [UNKNOWN]
    desk.keeper.answers[Verb.STATUS] = [{"status": 1}]
    running = completed(desk.launcher.succession.recover(record))
    assert running is not None and running.status is not None
    assert running.status.meaning is ExitMeaning.REBOOTED
    assert desk.keeper.last(Verb.STATUS).body == {"pid": record.pid, "born": record.born}


def test_after_a_boot_of_the_host_nobody_is_even_asked(desk: Desk) -> None:
    assert completed(desk.launcher.succession.recover(record_of(desk.keeper.pid, boot="another boot"))) is None
    assert desk.keeper.asked == []


def test_one_that_nobody_holds_and_that_is_gone_is_gone(desk: Desk, program: "subprocess.Popen[bytes]") -> None:
    record = record_of(program.pid)
    program.kill()
    program.wait()
    desk.keeper.answers[Verb.FETCH] = [UNKNOWN]
    assert completed(desk.launcher.succession.recover(record)) is None
    assert Verb.ADOPT not in desk.keeper.verbs()


def test_a_new_keeper_is_handed_the_consoles_too(desk: Desk) -> None:
    running = desk.running()
    running.consoles += [null(), null()]
    completed(desk.launcher.succession.adopt(running))
    assert desk.keeper.last(Verb.ADOPT).fds == ("pidfd", "console0", "console1")
    running.close()
