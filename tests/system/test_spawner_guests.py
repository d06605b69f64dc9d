"""Guests, their keeper, and its spawner under load: bombs of memory, storms of signals, thousands of descriptors."""

import contextlib
import os
import resource
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula import Container
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.spec import Bytes, Limits
from insula.errors import InsulaError
from insula.kernel.fds import close_all, memory_file
from tests.guests import Guests, spec
from tests.handpacked import CHANNEL, EXACT, Packed, pointer
from tests.waiting import until

MIB = 1 << 20
IDLE = "sleep 1000"


def test_bombs_of_memory_in_a_small_guest_end_neither_the_keeper_nor_other_guests(
    guests: Guests, busybox_root: Path
) -> None:
    """While commands enter it: each shares the guest's limit from its first instant, and only the guest's."""
    bomb = "while :; do dd if=/dev/zero of=/dev/null bs=7M count=2 2> /dev/null; done"
    small = guests.launch(
        spec(busybox_root, f"{bomb} &", f"{bomb} &", "wait", limits=Limits(memory=Bytes(9 * MIB)), name="small")
    )
    other = guests.launch(spec(busybox_root, IDLE, name="other"))
    keeper, entered = guests.keeper_pid, 0
    for _ in range(60):
        with contextlib.suppress(InsulaError):
            guests.execute(small, "true")
            entered += 1
    assert guests.ask(Verb.HELLO)["pid"] == keeper
    assert guests.execute(other, "echo", "well")[0] == "well\n"
    assert entered


@pytest.mark.requires("timens")
def test_a_guest_with_clocks_of_its_own_starts_and_is_entered(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, IDLE, time_offsets=(100_000, 200_000)))
    uptime, status = guests.execute(running, "cat", "/proc/uptime")
    assert status.status == 0
    assert float(uptime.split()[0]) > 200_000


STORM = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)


@contextmanager
def storm(*pids: int) -> Iterator[None]:
    """Signals, one after the other, as long as the block runs: what the keeper ignores or handles."""
    over = threading.Event()

    def blow() -> None:
        while not over.is_set():
            for number in (
                signal.SIGHUP,
                signal.SIGINT,
                signal.SIGQUIT,
                signal.SIGTERM,
                signal.SIGCHLD,
                signal.SIGPIPE,
            ):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            over.wait(0.001)

    thread = threading.Thread(target=blow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def lingering() -> bytes:
    """A program that waits for go, says that it executes, lets go of its channel, and stays."""
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(64))), 64, flags=EXACT, wanted=2)
    said = program.put(b'{"executing":true,"hold":false}')
    program.call("write", CHANNEL, pointer(said), 31, flags=EXACT, wanted=31)
    program.call("close", CHANNEL)
    program.call("ppoll", 0, 0, 0, 0)
    return program.encoded()


def test_two_hundred_start_at_once_in_a_storm_of_signals(guests: Guests, busybox_root: Path) -> None:
    guests.launch(spec(busybox_root, IDLE))  # a keeper that holds nothing ends by SIGTERM
    image = memory_file("image", lingering())
    names = [str(uuid.uuid4()) for _ in range(200)]
    with storm(guests.keeper_pid, guests.spawner_pid):
        asked = [guests.link.ask(Verb.LAUNCH, {"uuid": name, "namespaces": []}, {"image": image}) for name in names]
        pids = [completed(guests.link.answer(number)).body["pid"] for number in asked]
        asked = [guests.link.ask(Verb.GO, {"uuid": name}, {}) for name in names]
        for number, pid in zip(asked, pids, strict=True):
            answer = completed(guests.link.answer(number))
            assert answer.body["pid"] == pid
            answer.close()
    os.close(image)
    assert len(set(pids)) == 200
    blocked = {line for pid in pids for line in status_lines(pid, "SigBlk", "SigIgn", "SigPnd", "ShdPnd")}
    assert {line.split()[1] for line in blocked} == {"0" * 16}
    for name in names:
        assert guests.ask(Verb.KILL, uuid=name)["status"] == signal.SIGKILL
        guests.ask(Verb.FORGET, uuid=name)


def status_lines(pid: int, *names: str) -> list[str]:
    return [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(names)]


def test_a_keeper_of_thousands_of_descriptors_starts_enters_and_has_a_new_spawner(
    guests: Guests, busybox_root: Path
) -> None:
    running = guests.launch(spec(busybox_root, IDLE))
    for batch in range(20):
        fds = {f"kept{batch}.{number}": os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for number in range(250)}
        completed(guests.link.answer(guests.link.ask(Verb.KEEP, {"uuid": running.uuid}, fds))).close()
        close_all(fds.values())
    assert len(os.listdir(f"/proc/{guests.keeper_pid}/fd")) > 5000
    former = guests.spawner_pid
    os.kill(former, signal.SIGKILL)
    until(lambda: guests.spawner_pid != former, "another spawner")
    until(lambda: len(os.listdir(f"/proc/{guests.spawner_pid}/fd")) == 68, "its being itself")
    assert guests.execute(running, "ls", "/proc/self/fd")[0].split() == ["0", "1", "2", "3"]
    second = guests.launch(spec(busybox_root, IDLE))
    assert guests.execute(second, "echo", "well")[0] == "well\n"


def test_guests_go_on_and_others_start_when_the_spawner_is_killed_again_and_again(
    guests: Guests, busybox_root: Path
) -> None:
    running = guests.launch(spec(busybox_root, IDLE))
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.02):
            with contextlib.suppress(OSError):
                os.kill(guests.spawner_pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    began = 0
    for _ in range(30):
        with contextlib.suppress(InsulaError):
            guests.execute(running, "true")
            began += 1
    over.set()
    killer.join()
    assert began
    assert guests.execute(running, "echo", "well")[0] == "well\n"
    children = Path(f"/proc/{guests.keeper_pid}/task/{guests.keeper_pid}/children")
    until(
        lambda: set(children.read_text().split()) == {str(running.pid), str(guests.spawner_pid)},
        "nobody being left over",
    )


def test_descriptors_that_others_of_the_hosts_root_have_on_their_way_keep_no_guest_from_starting(
    busybox_root: Path,
) -> None:
    """The kernel counts them by user, against the limit of who sends one: unix(7)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with sender, receiver, open(os.devnull, "rb") as null:
        for _ in range(8):
            socket.send_fds(sender, [b"x"], [null.fileno()] * 253)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            with Container(busybox_root, init=["/bin/sleep", "1000"]) as guest:
                assert guest.run(["echo", "well"]).stdout == b"well\n"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
