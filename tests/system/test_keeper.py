"""The keeper as a process: alone, small, hard to fool; what it holds while daemons come and go, and after it died."""

import json
import os
import signal
import socket
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from insula.engine.exitstatus import ExitMeaning, ExitStatus
from insula.engine.keeper.held import RING_MAX, StartPhase
from insula.engine.keeper.link import BlockingLink, completed
from insula.engine.keeper.protocol import Verb, receive, send
from insula.engine.keeper.startup import connect, private_keeper, spawn_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.spec import Access, BindMount
from insula.errors import KeeperError, OperationInvalidError, StepError
from insula.kernel.fds import NO_FD
from insula.kernel.process import start_time
from tests.guests import Guests, id_map, kill_keeper, read_until, spec
from tests.players import image_file, program_of
from tests.waiting import patience, stop, until

_NOBODY = 65534


def processes_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_keeper_has_an_empty_world_and_a_session_of_its_own(guests: Guests) -> None:
    mounts = [line.split()[4] for line in Path(f"/proc/{guests.keeper_pid}/mountinfo").read_text().splitlines()]
    assert sorted(mounts) == ["/", "/proc", "/stage", "/sys"]
    assert sorted(os.listdir(f"/proc/{guests.keeper_pid}/root/")) == ["proc", "root", "stage", "sys"]
    assert os.getsid(guests.keeper_pid) != os.getsid(0)
    assert Path(f"/proc/{guests.keeper_pid}/comm").read_text() == "insula-keeper\n"


def test_only_one_keeper_starts_at_a_socket(guests: Guests) -> None:
    spawn_keeper(guests.socket)
    assert guests.ask(Verb.HELLO)["pid"] == guests.keeper_pid


def test_the_socket_is_for_its_owner_alone(guests: Guests) -> None:
    assert stat.S_IMODE(guests.socket.stat().st_mode) == 0o600


def test_a_stranger_who_reaches_the_socket_is_turned_away(guests: Guests) -> None:
    guests.socket.chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        channel = connect(guests.socket)
        try:
            send(channel, {"request": 1, "verb": "hello"})
            os._exit(0 if receive(channel) is None else 1)
        except OSError:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert guests.ask(Verb.HELLO)["pid"] == guests.keeper_pid


@pytest.mark.parametrize(
    "datagram", [b"\xff", b"\0\0\xff\xff", b"[]", b'{"fds":["missing"]}', b'{"bulk":true}', b"{}" * 100_000]
)
def test_whoever_speaks_nonsense_is_dropped_alone(guests: Guests, datagram: bytes) -> None:
    channel = connect(guests.socket)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    channel.send(datagram)
    channel.settimeout(patience(10))
    assert channel.recv(1) == b""
    channel.close()
    assert guests.ask(Verb.HELLO)["pid"] == guests.keeper_pid


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("frobnicate", {}),
        ("fetch", {"uuid": "unknown"}),
        ("fetch", {}),
        ("kill", {"uuid": "unknown"}),
        ("go", {"uuid": "unknown"}),
        ("proceed", {"uuid": "unknown"}),
        ("execute", {"uuid": "unknown", "id": "1"}),
        ("forget", {"id": "unknown"}),
        ("adopt", {"uuid": "unknown", "pid": 1}),
        ("launch", {"uuid": "new", "namespaces": ["nonsense"], "owner": None, "pid": None}),
    ],
)
def test_a_request_that_cannot_be_met_is_answered_with_an_error(
    guests: Guests, verb: str, body: dict[str, Any]
) -> None:
    channel = connect(guests.socket)
    send(channel, {"request": 7, "verb": verb, **body})
    answer = receive(channel)
    channel.close()
    assert answer is not None
    assert answer.body["answer"] == 7
    assert answer.body["error"]["text"]


def test_a_client_that_goes_away_before_go_takes_its_newborn_along(guests: Guests) -> None:
    channel = connect(guests.socket)
    image = image_file(program_of())
    body = {"uuid": "newborn", "namespaces": ["mnt", "pid"], "owner": None, "pid": None}
    send(channel, {"request": 1, "verb": "launch", **body}, {"image": image})
    answer = receive(channel)
    assert answer is not None
    pid = answer.body["pid"]
    assert str(pid) in processes_of(guests.keeper_pid)
    channel.close()
    os.close(image)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the newborn's end")
    until(lambda: guests.ask(Verb.HELLO)["guests"] == [], "the keeper forgetting it")


def test_a_child_that_hangs_is_killed_at_its_deadline_and_reported(guests: Guests) -> None:
    image = image_file(program_of())
    body = {"uuid": "hanging", "namespaces": ["mnt", "pid"], "owner": None, "pid": None}
    # Its channel stays full of nothing: no steps come, so it waits for ever.
    first = guests.link.ask(Verb.LAUNCH, body, {"image": image})
    os.close(image)
    pid = completed(guests.link.answer(first)).body["pid"]
    stop(pid)
    with pytest.raises(KeeperError, match="did not get past 'performing its steps' in time"):
        completed(guests.link.answer(guests.link.ask(Verb.GO, {"uuid": "hanging", "seconds": 0.05}, {})))
    assert not os.path.exists(f"/proc/{pid}")


def test_a_child_that_is_killed_from_outside_is_reported(guests: Guests) -> None:
    image = image_file(program_of())
    body = {"uuid": "victim", "namespaces": ["mnt", "pid"], "owner": None, "pid": None}
    pid = completed(guests.link.answer(guests.link.ask(Verb.LAUNCH, body, {"image": image}))).body["pid"]
    os.close(image)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
    with pytest.raises(KeeperError, match="killed by signal 9"):
        completed(guests.link.answer(guests.link.ask(Verb.GO, {"uuid": "victim"}, {})))


def test_guests_and_their_exit_statuses_survive_the_daemon(guests: Guests, busybox_root: Path) -> None:
    lives = guests.launch(spec(busybox_root, "sleep 1000", name="lives"))
    ends = guests.launch(spec(busybox_root, "read word; exit 5", name="ends"))
    records = [ContainerRecord.decode(json.loads(json.dumps(each.record.encode()))) for each in (lives, ends)]
    os.write(ends.consoles[0], b"end\n")
    guests.disconnect()
    until(lambda: not os.path.exists(f"/proc/{ends.pid}"), "one guest's end")
    guests.connect()
    held = {each.uuid: each for each in completed(guests.launcher.succession.held())}
    assert (held[lives.uuid].phase, held[ends.uuid].phase) == (StartPhase.RUNNING, StartPhase.EXITED)
    assert held[ends.uuid].status == ExitStatus(status=5 << 8)
    again = [completed(guests.launcher.succession.recover(record)) for record in records]
    assert [each and each.pid for each in again] == [lives.pid, ends.pid]
    for running in again:
        assert running is not None
        guests.destroy(running)
        running.close()
    assert guests.ask(Verb.HELLO)["guests"] == []


def test_a_record_of_another_boot_or_another_process_is_nobody(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    data = running.record.encode()
    assert completed(guests.launcher.succession.recover(ContainerRecord.decode({**data, "boot": "another"}))) is None
    guests.destroy(running)
    assert completed(guests.launcher.succession.recover(ContainerRecord.decode({**data, "pid": os.getpid()}))) is None


def test_a_guest_never_blocks_on_its_console_while_no_daemon_reads(guests: Guests, busybox_root: Path) -> None:
    script = ("read word", "head -c 300000 /dev/zero | tr '\\0' x", "echo; echo the end", "touch /done", "sleep 1000")
    running = guests.launch(spec(busybox_root, *script))
    os.write(running.consoles[0], b"go\n")
    guests.disconnect()
    until((busybox_root / "done").exists, "the guest having written all")
    guests.connect()
    again = completed(guests.launcher.succession.recover(running.record))
    assert again is not None
    assert len(again.said[0]) == RING_MAX
    assert again.said[0].endswith(b"x\r\nthe end\r\n")
    again.close()


def test_a_daemon_that_reads_the_consoles_has_them_alone(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "while read word; do echo got $word; done"))
    for number in range(50):
        os.write(running.consoles[0], b"%d\n" % number)
        assert b"got" in read_until(running.consoles[0], b"got %d" % number)


@pytest.mark.machine("endings")
def test_guests_survive_the_keeper_and_are_handed_to_the_next(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "while read word; do echo got $word; done; exit 3"))
    kill_keeper(guests)
    assert os.path.exists(f"/proc/{running.pid}")
    guests.start_keeper()
    assert guests.ask(Verb.HELLO)["guests"] == []
    completed(guests.launcher.succession.adopt(running))
    completed(guests.launcher.succession.adopt(running))
    assert [each["uuid"] for each in guests.ask(Verb.HELLO)["guests"]] == [running.uuid]
    os.write(running.consoles[0], b"on\n")
    read_until(running.consoles[0], b"got on")
    said, _ = guests.execute(running, "hostname")
    assert said == "guest\n"
    assert guests.destroy(running).meaning in {ExitMeaning.KILLED, ExitMeaning.UNKNOWN}
    until(lambda: not os.path.exists(f"/proc/{running.pid}"), "the reaper having reaped it")


@pytest.mark.machine("endings")
def test_a_guest_that_waits_before_its_first_program_begins_under_the_next_keeper(
    guests: Guests, busybox_root: Path
) -> None:
    running = guests.launch(spec(busybox_root, "echo begun; sleep 1000"), paused=True)
    kill_keeper(guests)
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    completed(guests.launcher.resume(running))
    assert not running.awaiting_exec
    read_until(running.consoles[0], b"begun")
    guests.destroy(running)
    until(lambda: not os.path.exists(f"/proc/{running.pid}"), "the reaper having reaped it")


def test_a_guest_that_waits_ends_when_its_keeper_and_its_daemon_die(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"), paused=True)
    kill_keeper(guests)
    os.close(running.channel)
    running.channel = NO_FD
    running.group.thaw()
    until(lambda: not os.path.exists(f"/proc/{running.pid}"), "its end")
    guests.start_keeper()


@pytest.mark.machine("endings")
def test_a_daemon_that_lost_all_fds_finds_its_guests_by_their_pids(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    record = running.record
    kill_keeper(guests)
    running.close()
    guests.start_keeper()
    again = completed(guests.launcher.succession.recover(record))
    assert again is not None
    assert (again.pid, again.consoles) == (record.pid, [])
    assert start_time(again.pid) == record.born
    guests.destroy(again)


@pytest.mark.machine("cgroups")
def test_a_guest_is_destroyed_even_when_no_keeper_knows_it(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    kill_keeper(guests)
    guests.start_keeper()
    assert guests.destroy(running).meaning is ExitMeaning.UNKNOWN
    until(lambda: not os.path.exists(f"/proc/{running.pid}"), "the reaper having reaped it")


def test_it_does_not_quit_nor_forget_while_a_guest_lives(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    with pytest.raises(KeeperError, match="are held"):
        guests.ask(Verb.QUIT)
    with pytest.raises(KeeperError, match="cannot be forgotten"):
        guests.ask(Verb.FORGET, uuid=running.uuid)
    os.kill(guests.keeper_pid, signal.SIGHUP)
    assert [each["uuid"] for each in guests.ask(Verb.HELLO)["guests"]] == [running.uuid]


def test_two_guests_with_one_uuid_are_refused(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    twin = spec(busybox_root, "sleep 1000", uuid=running.uuid, name="twin", idmap=id_map(500000))
    with pytest.raises(KeeperError, match="is held already"):
        guests.launch(twin)


def test_the_stage_is_empty_after_every_launch(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    source = scratch / "source"
    source.mkdir()
    mount = BindMount(source=str(source), target="/mnt", access=Access.READ_ONLY)
    guests.launch(spec(busybox_root, "sleep 1000", mounts=(mount,)))
    with pytest.raises(StepError):
        guests.launch(
            spec(busybox_root, "true", name="fails", mounts=(mount, BindMount(source=str(source), target="/proc")))
        )
    assert os.listdir(f"/proc/{guests.keeper_pid}/root/stage") == []
    source.rmdir()


def test_a_private_keeper_ends_with_its_channel_and_takes_its_guests_along(guests: Guests, busybox_root: Path) -> None:
    channel, process = private_keeper()
    launcher = Launcher(facts=guests.facts, link=BlockingLink(channel))
    running = completed(launcher.launch(spec(busybox_root, "sleep 1000")))
    channel.close()
    assert process.wait(timeout=patience(20)) == 0
    until(
        lambda: not os.path.exists(f"/proc/{running.pid}") or os.waitpid(running.pid, os.WNOHANG)[0], "its guest's end"
    )
    running.group.remove()
    running.close()


def test_a_keeper_without_permission_to_withdraw_says_why(scratch: Path) -> None:
    log = scratch / "log"
    with log.open("wb") as file:
        child = os.fork()
        if child == 0:
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            try:
                private_keeper(log=file.fileno())
            except KeeperError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    assert "PermissionError" in log.read_text()


def test_requests_after_the_keepers_death_fail_at_once(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    kill_keeper(guests)
    with pytest.raises(KeeperError):
        completed(guests.launcher.entrance.execute(running, spec(busybox_root, "true").init, terminal=(24, 80)))
    guests.start_keeper()
    completed(guests.launcher.succession.adopt(running))
    assert struct.calcsize("i") == 4
    with pytest.raises(OperationInvalidError, match="either streams or a terminal"):
        completed(guests.launcher.entrance.execute(running, spec(busybox_root, "true").init))
