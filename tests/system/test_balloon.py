"""Memory is taken from groups that hold more than they are to have; programs inside live on."""

import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.engine.launch import limits
from insula.engine.launch.balloon import Balloon
from insula.engine.spec import Bytes, Limits
from insula.errors import InsulaError, OperationAbortedError
from insula.kernel.cgroups import UNLIMITED, Cgroup
from insula.kernel.cgroups.oomnotices import OomNotices
from tests.inmates import Inmate
from tests.system.test_limits import HOLDER, HUNGRY, READER
from tests.waiting import patience

pytestmark = pytest.mark.machine("cgroups")

MIB = 1 << 20


def _never(seconds: float) -> bool:
    threading.Event().wait(seconds)
    return False


def inside(group: Cgroup, program: Inmate, first: str) -> Inmate:
    """Return a program once it is in the group and has printed its first line."""
    program.enter(group)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == f"{first}\n"
    return program


@pytest.fixture
def reader(group: Cgroup, scratch: Path, inmate: Callable[..., Inmate]) -> Inmate:
    """A program whose files fill 64 MiB of caches."""
    group.memory.limit(256 * MIB, 256 * MIB)
    return inside(group, inmate(READER, str(scratch / "large")), "written")


def test_caches_are_given_back_in_steps_that_are_told(group: Cgroup, reader: Inmate) -> None:
    told: list[int] = []
    balloon = Balloon(group, Bytes(24 * MIB), rest=_never, tell=told.append)
    balloon.inflate()
    limits.change(group, Limits(memory=Bytes(24 * MIB)))
    balloon.let_out(limited=True)

    held = group.limits()
    assert (held.memory, held.memory_and_swap, held.memory_soft) == (24 * MIB, 24 * MIB, None)
    assert group.memory.use().usage <= 24 * MIB
    assert len(told) > 3 and told[0] > told[-1] and told[-1] <= 24 * MIB
    assert (reader.process.poll(), group.oom_kills) == (None, 0)


def test_given_up_on_the_way_every_limit_is_as_before(group: Cgroup, reader: Inmate) -> None:
    before, steps = group.limits(), 0

    def enough(seconds: float) -> bool:
        nonlocal steps
        steps += 1
        return steps == 3

    balloon = Balloon(group, Bytes(16 * MIB), rest=enough, tell=lambda _: None)
    with pytest.raises(OperationAbortedError, match="given up"):
        balloon.inflate()
    assert group.limits() != before
    balloon.let_out(limited=False)
    assert group.limits() == before
    assert (reader.process.poll(), group.oom_kills) == (None, 0)


def test_whoever_dies_on_the_way_leaves_what_undoes_it(group: Cgroup, reader: Inmate) -> None:
    """The next one undoes what is noted, then puts what the definition says, as `LiveLimits` does."""
    before, used = group.limits(), group.memory.use().usage

    def half(held: int) -> None:
        if held < (used + 16 * MIB) // 2:
            raise KeyboardInterrupt

    balloon = Balloon(group, Bytes(16 * MIB), rest=_never, tell=half)
    with pytest.raises(KeyboardInterrupt):
        balloon.inflate()
    assert group.limits() != before
    if group.memory.has_unfinished:
        group.memory.undo_unfinished()
    limits.change(group, Limits(memory=Bytes(256 * MIB), memory_soft=Bytes(UNLIMITED)))
    assert group.limits() == before
    assert not group.memory.has_unfinished
    assert reader.process.poll() is None


def test_what_is_held_in_tmpfs_is_told_by_its_kind_and_nothing_is_killed_for_it(
    group: Cgroup, inmate: Callable[..., Inmate]
) -> None:
    group.memory.limit(256 * MIB, 256 * MIB)
    program = inside(group, inmate(HOLDER), "held")
    before = group.limits()
    balloon = Balloon(group, Bytes(16 * MIB), rest=_never, tell=lambda _: None)
    with pytest.raises(InsulaError, match=r"tmpfs and shared memory 307\d\d KiB.*no swap is free for it"):
        balloon.inflate()
    balloon.let_out(limited=False)
    assert group.limits() == before
    assert (program.process.poll(), group.oom_kills) == (None, 0)


GROWING = """
import signal, time
held = []
print("begun", flush=True)
for _ in range(30):
    held.append(bytearray(1 << 20))
    time.sleep(0.01)
print("held", flush=True)
signal.pause()
"""


def test_a_program_that_takes_more_meanwhile_is_not_killed(
    group: Cgroup, reader: Inmate, inmate: Callable[..., Inmate]
) -> None:
    """It takes 30 MiB while caches are being dropped to 64 MiB, for all of which there is room."""
    program = inside(group, inmate(GROWING), "begun")
    balloon = Balloon(group, Bytes(64 * MIB), rest=lambda _: _never(0.02), tell=lambda _: None)
    balloon.inflate()
    balloon.let_out(limited=False)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == "held\n"
    assert (program.process.poll(), reader.process.poll(), group.oom_kills) == (None, None, 0)


def test_a_kill_for_want_of_memory_wakes_who_watches_the_group(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.memory.limit(24 * MIB, 24 * MIB)
    notices = OomNotices[str]()
    notices.watch("web", group)
    assert notices.take() == set()
    program = inmate(HUNGRY)
    program.enter(group)
    assert program.result()[0] == -signal.SIGKILL
    assert select.select([notices], [], [], patience(10))[0]
    assert notices.take() == {"web"}
    assert group.oom_kills == 1
    notices.forget("web")
    notices.close()
