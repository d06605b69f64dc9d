"""How processes ended that are not ours to reap: they are the test's children, which reaps them when it likes."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.reaperlink import ReaperLink, Results
from insula.engine.keeper.strangers import Strangers
from insula.kernel.fds import Fd
from insula.kernel.process import has_ended, start_time
from tests.descriptors import open_fds
from tests.waiting import until


class FakeReaper(ReaperLink):
    """One that has one answer to every question. asked: the words."""

    def __init__(self) -> None:
        super().__init__(EventLoop(), None)
        self.answer: Results = None
        self.asked: list[tuple[str | int, ...]] = []

    def ask(self, *words: str | int, told: Callable[[Results], None] = lambda _: None) -> None:
        self.asked.append(words)
        told(self.answer)


@pytest.fixture
def reaper() -> FakeReaper:
    return FakeReaper()


@pytest.fixture
def program() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sh", "-c", "read word; exit 3"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def held_of(process: "subprocess.Popen[bytes]") -> HeldProcess:
    return HeldProcess("u", process.pid, Fd(os.pidfd_open(process.pid)), adopted=True)


def end(process: "subprocess.Popen[bytes]", held: HeldProcess, *, reap: bool) -> None:
    assert process.stdin is not None
    process.stdin.close()
    until(lambda: has_ended(held.pidfd), "its end")
    if reap:
        process.wait()


def learnt(strangers: Strangers, held: HeldProcess) -> int | None:
    told: list[int | None] = []
    strangers.learn(held, told.append)
    (status,) = told
    return status


def test_what_nobody_has_reaped_shows_how_it_ended(reaper: FakeReaper, program: "subprocess.Popen[bytes]") -> None:
    strangers, held = Strangers(reaper), held_of(program)
    strangers.meet(held, None)
    end(program, held, reap=False)
    assert learnt(strangers, held) == 3 << 8
    held.close()


def test_what_is_reaped_is_asked_of_the_reaper_by_its_birth(
    reaper: FakeReaper, program: "subprocess.Popen[bytes]"
) -> None:
    strangers, held = Strangers(reaper), held_of(program)
    born = start_time(program.pid)
    strangers.meet(held, None)
    end(program, held, reap=True)
    reaper.answer = ["1"]
    assert learnt(strangers, held) == signal.SIGHUP
    assert reaper.asked == [("status", program.pid, born)]
    held.close()


def test_one_that_ended_before_it_was_met_is_known_by_the_birth_that_is_told(
    reaper: FakeReaper, program: "subprocess.Popen[bytes]"
) -> None:
    strangers, held = Strangers(reaper), held_of(program)
    end(program, held, reap=True)
    strangers.meet(held, 4711)
    reaper.answer = ["2"]
    assert learnt(strangers, held) == signal.SIGINT
    assert reaper.asked == [("status", program.pid, 4711)]
    held.close()


@pytest.mark.parametrize(
    ("told_by_kernel", "execution", "known"),
    [(0, None, None), (9, None, None), (3 << 8, None, 3 << 8), (0, "1", 0), (9, "1", 9), (None, None, None)],
)
def test_what_may_have_been_a_reboot_counts_as_unknown_of_an_init(
    reaper: FakeReaper,
    program: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    told_by_kernel: int | None,
    execution: str | None,
    known: int | None,
) -> None:
    strangers, held = Strangers(reaper), held_of(program)
    held.execution = execution
    strangers.meet(held, None)
    end(program, held, reap=True)
    monkeypatch.setattr("insula.engine.keeper.strangers.exit_of_stranger", lambda pidfd: told_by_kernel)
    assert learnt(strangers, held) == known
    held.close()


def test_the_forgotten_leave_nothing_open_and_the_reaper_forgets_too(
    reaper: FakeReaper, program: "subprocess.Popen[bytes]"
) -> None:
    before = open_fds()
    strangers, held = Strangers(reaper), held_of(program)
    born = start_time(program.pid)
    strangers.meet(held, None)
    strangers.forget(held)
    held.close()
    assert open_fds() == before
    assert reaper.asked == [("forget", program.pid, born)]


def test_one_that_no_keeper_held_is_asked_for_by_pid_and_birth(reaper: FakeReaper) -> None:
    told: list[int | None] = []
    strangers = Strangers(reaper)
    strangers.of_the_past(7, 9, told.append)
    reaper.answer = []
    strangers.of_the_past(7, 9, told.append)
    reaper.answer = ["256"]
    strangers.of_the_past(7, 9, told.append)
    assert told == [None, None, 256]


def test_all_that_is_left_is_forgotten_before_the_keeper_leaves(reaper: FakeReaper) -> None:
    reaper.answer = ["7 9 0", "8 10 256"]
    Strangers(reaper).forget_all(lambda: reaper.asked.append(("left",)))
    assert reaper.asked == [("list",), ("forget", 7, 9), ("forget", 8, 10), ("left",)]
