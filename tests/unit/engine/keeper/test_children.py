"""Tests of insula.engine.keeper.children, with a keeper that is nothing but this."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

from insula.engine.keeper.children import Children, forget_children
from insula.engine.keeper.eventloop import EventLoop

TRACE_ME = 0


def trace_me_and_exit() -> int:
    assert ctypes.CDLL(None).ptrace(TRACE_ME, 0, 0, 0) == 0
    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    os.kill(os.getpid(), signal.SIGUSR1)
    return 5 if caught else 6


def trace_me_for_ever() -> int:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    while True:
        ctypes.CDLL(None).ptrace(TRACE_ME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGUSR1)


def in_a_call_while_a_child_ends() -> int:
    """A keeper of its own: one child ends, and then another one lets it return from its call."""
    Children(EventLoop(), lambda _: True).watch()
    reader, writer = os.pipe()
    ended, ending = os.pipe()

    def end() -> int:
        time.sleep(0.1)  # until the call is begun
        return 0

    def tell() -> int:
        os.close(ending)
        os.read(ended, 1)
        time.sleep(0.1)
        return os.write(writer, b"x") - 1

    fork(end)
    fork(tell)
    os.close(ending)
    # Not os.read(): Python makes that again by itself, unlike mkdir(2), rename(2) or mount(2).
    return 0 if ctypes.CDLL(None).read(reader, ctypes.create_string_buffer(1), 1) == 1 else 1


def ended_after_turns() -> int:
    """A keeper of its own, three children of which have ended: return 0 if no look was made at once, and then one."""
    ended: list[int] = []

    def reap(pid: int) -> bool:
        ended.append(os.waitpid(pid, 0)[0])
        return True

    loop = EventLoop()
    Children(loop, reap).watch()
    children = [fork(lambda: 0) for _ in range(3)]
    for pid in children:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    loop.turn()
    if ended:
        return 1
    loop.turn()
    return 0 if sorted(ended) == sorted(children) else 2


def fork(life: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        forget_children()
        os._exit(life())
    return pid


def kept(life: Callable[[], int], *, strangers: int = 0) -> int:
    """Return the wait status of a child that lives so below a keeper of this test's, when no others are left there."""
    keeper = os.fork()
    if keeper == 0:
        try:
            os._exit(_keep(life, strangers))
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])


def _keep(life: Callable[[], int], strangers: int) -> int:
    statuses: list[int] = []
    known: list[int] = []

    def ended(pid: int) -> bool:
        if pid in known:
            statuses.append(os.waitpid(pid, 0)[1])
        return pid in known

    loop = EventLoop()
    Children(loop, ended).watch()
    for _ in range(strangers):
        fork(lambda: 1)
    known.append(fork(life))
    while True:
        loop.turn()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return abs(os.waitstatus_to_exitcode(statuses[0]))


def test_a_child_that_makes_us_its_tracer_gets_its_signal_and_goes_on() -> None:
    assert kept(trace_me_and_exit) == 5


def test_one_that_does_so_again_and_again_is_killed() -> None:
    assert kept(trace_me_for_ever) == signal.SIGKILL


def test_the_end_of_a_child_cuts_no_call_of_the_keepers_short() -> None:
    assert kept(in_a_call_while_a_child_ends) == 0


def test_children_that_nobody_knows_are_reaped_however_many() -> None:
    assert kept(lambda: 3, strangers=150) == 3


def test_a_look_at_all_children_waits_a_little_and_is_for_all_that_ended_meanwhile() -> None:
    assert kept(ended_after_turns) == 0


def left_at_the_end() -> int:
    """A keeper of its own, two children of which have ended: return 0 if none is left to the reaper."""
    children = [fork(lambda: 0), fork(lambda: 3)]
    for pid in children:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    Children(EventLoop(), lambda _: False).attend_all()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return 0
    return 1


def test_who_ends_leaves_no_ended_child_behind() -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(fork(left_at_the_end), 0)[1]) == 0
