"""What the keeper orders of the spawner, and where it stands when it forks itself.

What needs namespaces is in tests/system/test_spawner.py and tests/system/test_entering_processes.py.
"""

import os
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from insula.engine.keeper import cloning
from insula.engine.keeper.cloning import Cloner
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.protocol import Message
from insula.engine.keeper.spawner import Order, Spawner
from insula.engine.program.image import GO
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag
from tests.descriptors import open_fds
from tests.unit.engine.fakes import null

ALL = CloneFlag.NEWPID | CloneFlag.NEWNS | CloneFlag.NEWNET | CloneFlag.NEWUTS | CloneFlag.NEWIPC


class Orders(Spawner):
    """A spawner that keeps what is ordered."""

    def __init__(self) -> None:
        super().__init__(EventLoop(), b"", 0)
        self.given: list[Order] = []
        self.doubts = 0
        self.error: Exception | None = None

    @property
    def usable(self) -> bool:
        return True

    def give(self, order: Order) -> None:
        if self.error is not None:
            raise self.error
        self.given.append(order)

    def doubt(self) -> None:
        self.doubts += 1


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, CloneFlag]]:
    """The calls of setns(2), which are left out."""
    made: list[tuple[int, CloneFlag]] = []
    monkeypatch.setattr(cloning, "setns", lambda fd, kind: made.append((fd, CloneFlag(kind))))
    return made


@pytest.fixture
def guest() -> Iterator[HeldProcess]:
    made = HeldProcess("u", 1, null())
    yield made
    made.close()


@pytest.fixture
def image() -> Iterator[Fd]:
    fd = null()
    yield fd
    os.close(fd)


def forking() -> Cloner:
    return Cloner((1024, 1024), Spawner(EventLoop(), b"", 0))


def fail(*_: object, **__: object) -> NoReturn:
    raise OSError(11, "no process to be had")


def parent(*_: object, **__: object) -> tuple[int, Fd]:
    return 4711, null()


def test_a_guests_first_process_is_ordered_as_the_request_says(orders: Orders, image: Fd) -> None:
    cgroup, shared = null(), null()
    body = {"namespaces": ["mnt", "user"], "owner": [300000, 300001], "pid": 4711}
    begun = Cloner((64, 128), orders).begin(Message(body, {"image": image, "cgroup": cgroup, "shared:net": shared}))
    (order,) = orders.given
    assert (order.flags, order.limits) == (CloneFlag.NEWNS | CloneFlag.NEWUSER, (64, 128))
    assert (order.pids, order.owner, order.image, order.cgroup) == ((1, 4711), (300000, 300001), image, cgroup)
    assert order.standing == ((shared, CloneFlag.NEWNET),)
    assert (begun.process.is_known, begun.process.pid) == (False, 0)
    begun.channel.close()
    os.close(cgroup)
    os.close(shared)


def test_who_enters_is_ordered_to_begin_in_the_guest_and_finds_its_fds_waiting(
    orders: Orders, guest: HeldProcess, image: Fd
) -> None:
    stream = null()
    kept: list[Fd] = []
    orders.give = lambda order: kept.append(Fd(os.dup(order.channel)))  # type: ignore[method-assign]
    begun = Cloner((64, 128), orders).enter(Message({}, {"init": guest.pidfd, "image": image, "stdin": stream}))
    with socket.socket(fileno=kept[0]) as theirs:
        content, fds, _, _ = socket.recv_fds(theirs, 16, 9)
        assert content == GO and len(fds) == 2
        assert begun.other_end == os.fstat(theirs.fileno()).st_ino
    for fd in (*fds, stream):
        os.close(fd)
    begun.channel.close()


def test_who_enters_stands_in_five_namespaces_of_init(orders: Orders, guest: HeldProcess, image: Fd) -> None:
    Cloner((64, 128), orders).enter(Message({}, {"init": guest.pidfd, "image": image})).channel.close()
    (order,) = orders.given
    assert order.standing == ((guest.pidfd, ALL),)
    assert (order.flags, order.pids, order.owner) == (CloneFlag.NOTHING, (), None)


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (BlockingIOError(11, "too many"), {"namespaces": []}),
        (None, {"namespaces": ["nonsense"]}),
        (None, {}),
        (None, {"namespaces": [], "owner": []}),
    ],
)
def test_an_order_that_cannot_be_given_leaves_nothing_open(
    orders: Orders, image: Fd, error: Exception | None, body: dict[str, Any]
) -> None:
    cloner = Cloner((64, 128), orders)
    orders.error = error
    before = open_fds()
    with pytest.raises((OSError, LookupError)):
        cloner.begin(Message(body, {"image": image}))
    assert open_fds() == before


def test_no_more_namespaces_are_shared_than_an_order_has_room_for(orders: Orders, image: Fd) -> None:
    fds = {f"shared:{kind}": image for kind in ("net", "ipc", "uts", "mnt", "user", "time")}
    with pytest.raises(ValueError, match="no more than 5"):
        Cloner((64, 128), orders).begin(Message({"namespaces": []}, {"image": image, **fds}))


def test_giving_up_doubts_the_spawner(orders: Orders, image: Fd) -> None:
    cloner = Cloner((64, 128), orders)
    begun = cloner.begin(Message({"namespaces": []}, {"image": image}))
    cloner.give_up(begun)
    assert orders.doubts == 1
    begun.channel.close()


@pytest.mark.parametrize("clone", [parent, fail])
def test_a_keeper_that_forks_stands_in_the_guests_namespaces_meanwhile_and_comes_home(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[int, CloneFlag]],
    guest: HeldProcess,
    image: Fd,
    clone: object,
) -> None:
    cloner = forking()
    at_birth: list[tuple[int, CloneFlag]] = []

    def observed(*arguments: object, **options: object) -> object:
        at_birth.extend(steps)
        return clone(*arguments, **options)  # type: ignore[operator]

    monkeypatch.setattr(cloning, "clone", observed)
    before = open_fds()
    message = Message({}, {"init": guest.pidfd, "image": image})
    if clone is fail:
        with pytest.raises(OSError, match="no process"):
            cloner.enter(message)
    else:
        begun = cloner.enter(message)
        assert begun.process.pid == 4711
        begun.channel.close()
        begun.process.close()
    assert at_birth == [(message.fds["init"], ALL)]
    homes = [flag for _, flag in steps[1:]]
    assert sorted(homes) == sorted(ALL)
    assert guest.pidfd not in {fd for fd, _ in steps[1:]}
    assert open_fds() == before


def test_a_guest_may_begin_in_a_namespace_that_others_have(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[int, CloneFlag]], image: Fd
) -> None:
    monkeypatch.setattr(cloning, "clone", parent)
    shared = null()
    message = Message({"namespaces": ["mnt", "pid"]}, {"shared:net": shared, "image": image})
    begun = forking().begin(message)
    assert steps[0] == (shared, CloneFlag.NEWNET)
    assert [flag for _, flag in steps] == [CloneFlag.NEWNET, CloneFlag.NEWNET]
    begun.channel.close()
    begun.process.close()
    os.close(shared)


def test_a_keeper_that_does_not_come_home_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloning, "setns", fail)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        cloning._return(Fd(0), CloneFlag.NEWNS)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
