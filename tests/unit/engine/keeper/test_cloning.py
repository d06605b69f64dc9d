"""Where the keeper stands when it clones; what needs namespaces is in tests/system/test_entering_processes.py."""

import os
import socket
from typing import NoReturn

import pytest

from insula.engine.keeper import cloning
from insula.engine.keeper.cloning import Cloner, Limits
from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.protocol import Message
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag
from tests.descriptors import open_fds
from tests.unit.engine.fakes import null

ALL = CloneFlag.NEWPID | CloneFlag.NEWNS | CloneFlag.NEWNET | CloneFlag.NEWUTS | CloneFlag.NEWIPC


def never(channel: socket.socket, request: Message, limits: Limits) -> NoReturn:
    raise AssertionError("nothing is cloned here")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, CloneFlag]]:
    """The calls of setns(2), which are left out."""
    made: list[tuple[int, CloneFlag]] = []
    monkeypatch.setattr(cloning, "setns", lambda fd, kind: made.append((fd, CloneFlag(kind))))
    return made


def fail(*_: object, **__: object) -> NoReturn:
    raise OSError(11, "no process to be had")


def parent(*_: object, **__: object) -> tuple[int, Fd]:
    return 4711, null()


@pytest.mark.parametrize("clone", [parent, fail])
def test_who_enters_is_born_in_the_guests_namespaces_and_the_keeper_comes_home(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[int, CloneFlag]], clone: object
) -> None:
    cloner = Cloner((1024, 1024))
    guest = HeldProcess("u", 1, null())
    at_birth: list[tuple[int, CloneFlag]] = []

    def observed(*arguments: object, **options: object) -> object:
        at_birth.extend(steps)
        return clone(*arguments, **options)  # type: ignore[operator]

    monkeypatch.setattr(cloning, "clone", observed)
    before = open_fds()
    message = Message({}, {"init": Fd(os.dup(guest.pidfd))})
    if clone is fail:
        with pytest.raises(OSError, match="no process"):
            cloner.enter(message, never)
    else:
        process, channel = cloner.enter(message, never)
        assert process.pid == 4711
        channel.close()
        process.close()
    assert at_birth == [(message.fds["init"], ALL)]
    homes = [flag for _, flag in steps[1:]]
    assert sorted(homes) == sorted(ALL)
    assert guest.pidfd not in {fd for fd, _ in steps[1:]}
    message.close()
    assert open_fds() == before
    guest.close()


def test_a_guest_may_be_born_in_a_namespace_that_others_have(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[int, CloneFlag]]
) -> None:
    monkeypatch.setattr(cloning, "clone", parent)
    shared = null()
    message = Message({"namespaces": ["mnt", "pid"]}, {"shared:net": shared})
    process, channel = Cloner((1024, 1024)).begin(message, never)
    assert steps[0] == (shared, CloneFlag.NEWNET)
    assert [flag for _, flag in steps] == [CloneFlag.NEWNET, CloneFlag.NEWNET]
    channel.close()
    process.close()
    message.close()


def test_a_keeper_that_does_not_come_home_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloning, "setns", fail)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        cloning._return(Fd(0), CloneFlag.NEWNS)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
