"""Whatever arrives at the keeper's socket leaves it alive, serving others, without a descriptor more than before."""

import array
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.keeper import clients as clients_module
from insula.engine.keeper import cloning, mountspace
from insula.engine.keeper.protocol import BULK_MAX, Verb, receive
from insula.kernel.fds import close_all, memory_file
from tests.players import entering_program_of, image_file
from tests.unit.engine.forkedkeeper import SLEEP, ForkedKeeper, program
from tests.waiting import patience, until

MESSAGES = 1500
"""For each seed."""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkedKeeper]:
    """One whose stage is a directory of the test's, and that moves into no namespace."""
    monkeypatch.setattr(mountspace, "STAGE", str(tmp_path))
    monkeypatch.setattr(cloning, "setns", lambda fd, kind: None)
    made = ForkedKeeper()
    yield made
    assert made.end() == 0, "it ended before its last client left"


def connected(keeper: ForkedKeeper) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    channel.settimeout(patience(120))
    channel.connect(keeper.address)
    return channel


def send_raw(channel: socket.socket, datagram: bytes, fds: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([datagram], rights)


def descriptors(pid: int) -> list[str]:
    """Return what a keeper has open, by kind."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}").partition("[")[0])
    return sorted(links)


def at_rest(keeper: ForkedKeeper) -> list[str]:
    """Return what it has open once it serves its one client."""
    assert lives(keeper)
    return descriptors(keeper.pid)


def lives(keeper: ForkedKeeper) -> bool:
    return bool(keeper.ask(Verb.HELLO)["pid"] == keeper.pid)


NESTED = {
    "list": b"[" * 60_000,
    "object": b'{"a":' * 12_000,
    "closed": b'{"request":1,"verb":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}


@pytest.mark.parametrize("bulk", [False, True], ids=["datagram", "file"])
@pytest.mark.parametrize("nested", NESTED)
def test_a_message_nested_too_deeply_ends_its_sender_alone(keeper: ForkedKeeper, nested: str, bulk: bool) -> None:
    with connected(keeper) as channel:
        if bulk:
            file = memory_file("nested", NESTED[nested] * 10)
            send_raw(channel, b'{"bulk":true}', [file])
            os.close(file)
        else:
            send_raw(channel, NESTED[nested], [])
        assert channel.recv(1) == b""
    assert lives(keeper)


@pytest.mark.parametrize("kind", ["zero", "pipe", "directory", "disk", "huge"])
def test_a_message_in_a_file_that_never_ends_is_not_read(keeper: ForkedKeeper, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"request":1,"verb":"hello"}')
    reader, writer = os.pipe()
    huge = memory_file("huge", b"")
    os.ftruncate(huge, BULK_MAX + 1)
    opened = {
        "zero": os.open("/dev/zero", os.O_RDONLY),
        "pipe": reader,
        "directory": os.open(tmp_path, os.O_RDONLY),
        "disk": os.open(tmp_path / "file", os.O_RDONLY),
        "huge": huge,
    }
    before = at_rest(keeper)
    with connected(keeper) as channel:
        send_raw(channel, b'{"bulk":true}', [opened[kind], writer])
        assert channel.recv(1) == b""
    assert lives(keeper)
    until(lambda: descriptors(keeper.pid) == before, "the descriptors being closed")
    close_all([*opened.values(), writer])


def test_who_never_reads_is_hung_up_on_in_the_end(keeper: ForkedKeeper) -> None:
    with connected(keeper) as deaf:
        deaf.settimeout(patience(60))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ask_again_and_again(deaf)
    assert lives(keeper)


def ask_again_and_again(deaf: socket.socket) -> None:
    for _ in range(2 * clients_module.WAITING_MAX):
        deaf.send(b'{"request":1,"verb":"hello"}')


# Generated


class Hostile:
    """Makes messages of everything that one may think of. Of processes only its own strangers are within reach."""

    def __init__(self, seed: int, directory: Path) -> None:
        self._chance = random.Random(seed)
        self._directory = directory
        self._stranger: subprocess.Popen[bytes] | None = None

    def datagram(self) -> tuple[bytes, list[int]]:
        chance = self._chance
        fds = [self._descriptor() for _ in range(chance.choice((0, 0, 1, 1, 2, 3, 5)))]
        if chance.random() < 0.1:
            return chance.randbytes(chance.randrange(1, 200)), fds
        body = self._body([chance.choice(_FD_NAMES) for _ in fds])
        encoded = json.dumps(body, default=str).encode()
        if chance.random() < 0.1:
            at = chance.randrange(len(encoded))
            encoded = encoded[:at] + chance.randbytes(3) + encoded[at + chance.randrange(4) :]
        return encoded, fds

    def _body(self, names: list[str]) -> dict[str, Any]:
        chance = self._chance
        body: dict[str, Any] = {"request": 1, "verb": chance.choice(_VERBS)}
        for field in chance.sample(_FIELDS, chance.randrange(len(_FIELDS))):
            body[field] = self._value(field)
        if chance.random() < 0.9:
            body.setdefault("uuid", chance.choice(_UUIDS))
        if chance.random() < 0.9 or names:
            body["fds"] = names if chance.random() < 0.95 else self._value("fds")
        return body

    def _value(self, field: str) -> Any:
        chance = self._chance
        if field in _PLAUSIBLE and chance.random() < 0.6:
            return chance.choice(_PLAUSIBLE[field])
        return chance.choice(
            (None, True, 0, -1, 1.5, 1 << 40, 10**30, float("nan"), float("inf"), "", "..", "a/b", "\0", "x" * 5000,
             [], {}, [[]], {"a": [1]}, ["x"], "\ud800", [None], [1 << 70], 4711)
        )  # fmt: skip

    def _descriptor(self) -> int:
        kind = self._chance.randrange(10)
        match kind:
            case 0:
                return os.open("/dev/null", os.O_RDWR)
            case 1:
                return os.open("/dev/zero", os.O_RDWR)
            case 2:
                return os.open(self._directory, os.O_RDONLY)
            case 3:
                return memory_file("x", self._chance.randbytes(100))
            case 4:
                return image_file(entering_program_of(*program(SLEEP)))
            case 5:
                return os.eventfd(0)
            case 6:
                return socket.socket(socket.AF_UNIX).detach()
            case 7:
                master, slave = os.openpty()
                os.close(slave)
                return master
            case 8:
                reader, writer = os.pipe()
                os.close(writer)
                return reader
            case _:
                return os.pidfd_open(self._living().pid)

    def _living(self) -> "subprocess.Popen[bytes]":
        if self._stranger is None or self._stranger.poll() is not None:
            self._stranger = subprocess.Popen(["sleep", "1000"])
        return self._stranger

    def close(self) -> None:
        if self._stranger is not None:
            self._stranger.kill()
            self._stranger.wait()


_VERBS = [*(verb.value for verb in Verb if verb is not Verb.QUIT), "explode", None, [], {}, 7]
_UUIDS: list[Any] = ["u", "v", "w", None, 7, [], "../x"]
_FD_NAMES = [
    "image",
    "pidfd",
    "init",
    "cgroup",
    "console0",
    "console1",
    "stdin",
    "shared:net",
    "shared:x",
    "root",
    "join0",
    "channel",
    "",
]
_FIELDS = [
    "uuid", "id", "pid", "born", "namespaces", "owner", "locked_trees", "seconds", "consoles", "fds", "verb",
]  # fmt: skip
_PLAUSIBLE: dict[str, list[Any]] = {
    "uuid": _UUIDS,
    "id": ["1", "2"],
    "pid": [None, 1, 4711],
    "namespaces": [[], ["uts"], ["nonsense"]],
    "owner": [None, [0, 0], ["x", "y"]],
    "locked_trees": [[], ["root"], ["image", "missing"]],
    "seconds": [0, 0.01, 30],
    "fds": [["image"], []],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_no_message_ends_it_or_stays_with_it(keeper: ForkedKeeper, seed: int, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    before = at_rest(keeper)
    hostile = Hostile(seed, tmp_path / "empty")
    channel = connected(keeper)
    for number in range(MESSAGES):
        datagram, fds = hostile.datagram()
        try:
            send_raw(channel, datagram, fds)
        except (BrokenPipeError, ConnectionResetError):
            channel.close()
            channel = connected(keeper)
        close_all(fds)
        if number % 100 == 0:
            assert lives(keeper), f"seed {seed}, message {number}: {datagram!r}"
        if number % 7 == 0:
            channel.close()
            channel = connected(keeper)
    channel.close()
    assert lives(keeper)
    hostile.close()

    def nothing_held() -> bool:
        held = keeper.ask(Verb.HELLO)
        for guest in held["guests"]:
            keeper.link.ask(Verb.KILL, {"uuid": guest["uuid"]}, {})
            keeper.link.ask(Verb.FORGET, {"uuid": guest["uuid"]}, {})
        for execution in held["executions"]:
            keeper.link.ask(Verb.FORGET, {"id": execution["id"]}, {})
        return not held["guests"] and not held["executions"]

    until(nothing_held, "everything being forgotten", 120)
    until(lambda: descriptors(keeper.pid) == before, "its having no descriptor more than before", 120)


def test_a_request_is_answered_by_an_error_whatever_it_leads_to(keeper: ForkedKeeper) -> None:
    with connected(keeper) as channel:
        bodies: tuple[dict[str, Any], ...] = (
            {"verb": "kill", "uuid": {}},
            {"verb": []},
            {"verb": "adopt", "uuid": "u", "pid": 10**30},
        )
        for body in bodies:
            channel.send(json.dumps({"request": 3, **body}).encode())
            answer = receive(channel)
            assert answer is not None and answer.body["error"]["text"]
    assert lives(keeper)


def test_a_descriptor_of_no_process_is_not_adopted(keeper: ForkedKeeper) -> None:
    with open("/dev/null") as null, pytest.raises(Exception, match="not the descriptor of a process"):
        keeper.ask(Verb.ADOPT, {"pidfd": null.fileno()}, uuid="u", pid=1)
    with subprocess.Popen(["sleep", "1000"]) as other:
        pidfd = os.pidfd_open(other.pid)
        with pytest.raises(Exception, match=f"another process's, not {os.getpid()}'s"):
            keeper.ask(Verb.ADOPT, {"pidfd": pidfd}, uuid="u", pid=os.getpid())
        os.close(pidfd)
        other.send_signal(signal.SIGKILL)
    assert keeper.ask(Verb.HELLO)["guests"] == []
