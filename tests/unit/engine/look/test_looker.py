"""The process that looks into guests, as its daemon sees it."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.keeper.protocol import receive, send
from tests.waiting import patience, until

TESTING = """
import os, resource, sys
from insula.engine.look import looks
from insula.engine.look import looker
from insula.kernel import privileges
def tell(arguments, fds):
    return {"fds": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "memory": resource.getrlimit(resource.RLIMIT_AS),
            "capabilities": sorted(privileges.held().effective), "given": os.read(fds["file"], 10).decode()}
def fail(arguments, fds):
    raise PermissionError(13, "not for you", "/etc/secret")
def hang(arguments, fds):
    while True: os.pipe and __import__("time").sleep(1)
def long(arguments, fds):
    return "x" * (looker.RESULT_MAX + 1)
def some(arguments, fds):
    return "x" * arguments["length"]
for each in (tell, fail, hang, long, some):
    looks.LOOKS[each.__name__] = looks.Look(function=each, capabilities=frozenset({"kill"}))
looker.main()
"""


@pytest.fixture
def looker() -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", TESTING, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
    ours.settimeout(patience(20))
    yield ours, process
    ours.close()
    process.wait(patience(20))


def begun(channel: socket.socket, look: str, arguments: dict[str, Any], **fds: int) -> tuple[socket.socket, int]:
    """Begin a look; return where it answers, and its pidfd."""
    answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        send(channel, {"look": look, "arguments": arguments}, {"answer": theirs.fileno(), **fds})
    answers.settimeout(patience(20))
    message = receive(answers)
    assert message is not None and message.body == {"begun": True}
    return answers, message.fds["process"]


def looked(channel: socket.socket, look: str, arguments: dict[str, Any], **fds: int) -> dict[str, Any]:
    answers, process = begun(channel, look, arguments, **fds)
    with answers:
        message = receive(answers)
        assert message is not None
        assert receive(answers) is None
    os.close(process)
    return message.body


@pytest.mark.requires("root")
def test_a_look_has_what_it_was_given_and_little_else(
    looker: tuple[socket.socket, "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    with (tmp_path / "file").open() as file:
        seen = looked(looker[0], "tell", {}, file=file.fileno())["result"]
    assert seen["given"] == "content"
    assert len([each for each in seen["fds"] if each > 2]) == 2  # the file and the way to answer
    assert seen["capabilities"] == ["kill"]
    assert seen["memory"][0] == seen["memory"][1] == 1 << 30


def test_what_a_look_raises_is_told(looker: tuple[socket.socket, "subprocess.Popen[bytes]"]) -> None:
    assert looked(looker[0], "fail", {})["error"] == {"text": "not for you: /etc/secret", "errno": 13}
    assert "KeyError" in looked(looker[0], "no such look", {})["error"]["text"]


def test_a_result_may_be_long_but_not_endless(looker: tuple[socket.socket, "subprocess.Popen[bytes]"]) -> None:
    assert len(looked(looker[0], "some", {"length": 500_000})["result"]) == 500_000
    assert "more than" in looked(looker[0], "long", {})["error"]["text"]


def test_one_look_that_hangs_keeps_no_other_waiting_and_can_be_killed(
    looker: tuple[socket.socket, "subprocess.Popen[bytes]"],
) -> None:
    hanging, process = begun(looker[0], "hang", {})
    assert "error" in looked(looker[0], "fail", {})
    signal.pidfd_send_signal(process, signal.SIGKILL)
    assert receive(hanging) is None
    hanging.close()
    os.close(process)


@pytest.mark.parametrize("begins", [False, True])
def test_a_looker_whose_daemon_dies_as_it_begins_ends_without_a_word(tmp_path: Path, begins: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said = tmp_path / "said"
    with theirs, said.open("wb") as errors:
        if not begins:
            ours.close()
        words = [sys.executable, "-I", "-c", TESTING, str(theirs.fileno())]
        process = subprocess.Popen(words, pass_fds=[theirs.fileno()], stderr=errors)
    if begins:
        assert select.select([ours], [], [], patience(20))[0]
        ours.close()  # with what it has sent still to be read
    assert process.wait(patience(20)) == 0
    assert said.read_text() == ""


def test_looks_end_with_the_looker_and_that_with_its_daemon(
    looker: tuple[socket.socket, "subprocess.Popen[bytes]"],
) -> None:
    channel, program = looker
    hanging, process = begun(channel, "hang", {})
    channel.close()
    program.wait(patience(20))
    assert receive(hanging) is None
    hanging.close()
    os.close(process)


def test_no_ended_look_stays_as_a_zombie(looker: tuple[socket.socket, "subprocess.Popen[bytes]"]) -> None:
    channel, program = looker
    looked(channel, "fail", {})
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    until(lambda: not children.read_text().split(), "the end of the look's process")
