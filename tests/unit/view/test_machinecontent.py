"""All guests' trees, and what the host's kernel log has for them."""

import fcntl
import os
import select
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insula.view import machinecontent
from insula.view.machinecontent import MachineContent
from insula.view.machinetree import GuestMachine, MachineTree
from insula.view.viewedfiles import KEPT_BYTES, ViewedGuest, ViewedTree
from tests.viewedhost import host_machine, on_v2
from tests.waiting import until

KILL = (
    b"3,%d,99,-;Memory cgroup out of memory: Killed process 5 (web) total-vm:1kB, anon-rss:1kB, UID:%d pgtables:1kB "
    b"oom_score_adj:0\n"
)


class HostLog:
    """A FIFO in place of the host's kernel log, that gives one record a read: pipe(7), O_DIRECT."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "kmsg")
        os.mkfifo(self.path)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._fd = os.open(self.path, os.O_WRONLY)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_WRONLY | os.O_DIRECT)

    def say(self, record: bytes) -> None:
        os.write(self._fd, record)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._reader)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[HostLog]:
    made = HostLog(tmp_path)
    yield made
    made.close()


@pytest.fixture
def guest(tmp_path: Path) -> ViewedGuest:
    return on_v2(tmp_path / "groups")


@pytest.fixture
def kept() -> Iterator[int]:
    fd = os.memfd_create("kept")
    os.ftruncate(fd, KEPT_BYTES)
    yield fd
    os.close(fd)


def content(tmp_path: Path, log: HostLog, name: str = "host") -> MachineContent:
    return MachineContent(host_machine(tmp_path / name), log.path)


def lines(tree: ViewedTree) -> list[str]:
    return [line.partition(";")[2] for line in tree.content("dev/kmsg").decode().splitlines()]


def stir(made: MachineContent) -> list[ViewedTree]:
    found: list[ViewedTree] = []
    for fd in select.select(made.wakes(), [], [], 0)[0]:
        found += made.stirred(fd)
    return found


def test_a_kill_is_told_to_the_guest_in_which_it_was(tmp_path: Path, log: HostLog, guest: ViewedGuest) -> None:
    made = content(tmp_path, log)
    tree = made.tree(guest, None)
    log.say(KILL % (7, 1_000_033))
    assert stir(made) == [tree]
    assert "Killed process 0 (web)" in lines(tree)[-1]
    assert "UID:33 " in lines(tree)[-1]
    tree.close()
    made.close()


def test_what_is_of_no_guest_stirs_none(tmp_path: Path, log: HostLog, guest: ViewedGuest) -> None:
    made = content(tmp_path, log)
    tree = made.tree(guest, None)
    log.say(KILL % (7, 5))
    assert stir(made) == []
    log.say(b"6,8,99,-;vnet0: a link\n")
    assert stir(made) == []
    assert len(lines(tree)) == 1
    tree.close()
    made.close()


def test_the_next_view_tells_what_happened_while_none_was_there_and_nothing_twice(
    tmp_path: Path, log: HostLog, guest: ViewedGuest, kept: int
) -> None:
    first = content(tmp_path, log)
    tree = first.tree(guest, kept)
    log.say(KILL % (7, 1_000_001))
    stir(first)
    tree.close()
    first.close()
    # The host's log still has the record that was told, and one more.
    log.say(KILL % (7, 1_000_001))
    log.say(KILL % (8, 1_000_002))
    second = content(tmp_path, log, "again")
    tree = second.tree(guest, kept)
    assert [line.partition("UID:")[2].split()[0] for line in lines(tree)[1:]] == ["1", "2"]
    tree.close()
    second.close()


def test_a_guest_that_starts_is_not_told_of_what_was_before(
    tmp_path: Path, log: HostLog, guest: ViewedGuest, kept: int
) -> None:
    log.say(KILL % (7, 1_000_001))
    made = content(tmp_path, log)
    tree = made.tree(guest, kept)
    assert len(lines(tree)) == 1
    tree.close()
    made.close()


def test_loads_are_sampled_when_they_are_due(tmp_path: Path, log: HostLog, guest: ViewedGuest) -> None:
    made = content(tmp_path, log)
    tree = made.tree(guest, None)
    assert isinstance(tree, MachineTree)
    timer = made.wakes()[0]
    until(lambda: bool(select.select([timer], [], [], 0)[0]), "the first sample being due")
    assert made.stirred(timer) == ()
    assert tree.machine.averages.due > 0
    assert not select.select([timer], [], [], 0)[0]
    tree.close()
    made.close()


def test_a_tree_that_is_closed_is_told_nothing_more(tmp_path: Path, log: HostLog, guest: ViewedGuest) -> None:
    made = content(tmp_path, log)
    made.tree(guest, None).close()
    other = made.tree(replace(guest, launch="other"), None)
    log.say(KILL % (7, 1_000_001))
    assert stir(made) == [other]
    other.close()
    made.close()


def test_a_host_whose_log_may_not_be_read_has_a_timer_alone(tmp_path: Path, guest: ViewedGuest) -> None:
    made = MachineContent(host_machine(tmp_path / "host"), str(tmp_path / "nothing"))
    tree = made.tree(guest, None)
    assert len(made.wakes()) == 1
    tree.tell("a line")
    assert lines(tree)[-1] == "a line"
    tree.close()
    made.close()


def test_samples_make_room_for_readers_and_who_waited_longest_comes_first(
    tmp_path: Path, log: HostLog, guest: ViewedGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = content(tmp_path, log)
    trees = [made.tree(replace(guest, launch=f"{number:016x}"), None) for number in range(3)]
    sampled: list[str] = []

    def sample(machine: GuestMachine) -> None:
        sampled.append(machine.guest.launch)
        machine.averages.sample(time.clock_gettime_ns(time.CLOCK_BOOTTIME), 0)

    monkeypatch.setattr(GuestMachine, "sample_load", sample)
    monkeypatch.setattr(machinecontent, "_AT_A_TIME", 0)
    for _ in trees:
        made._sample()
    assert sampled == [f"{number:016x}" for number in range(3)]
    for tree in trees:
        tree.close()
    made.close()
