"""Timers as descriptors."""

import select
import time

from insula.kernel.timers import TimerDescriptor
from tests.waiting import until


def readable(timer: TimerDescriptor) -> bool:
    return bool(select.select([timer.fd], [], [], 0)[0])


def test_a_moment_that_has_passed_is_at_once_and_once() -> None:
    timer = TimerDescriptor()
    timer.set(1)
    until(lambda: readable(timer), "the timer")
    timer.take()
    assert not readable(timer)
    timer.take()
    timer.close()


def test_a_moment_to_come_comes() -> None:
    timer = TimerDescriptor()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    timer.set(now + 20_000_000)
    until(lambda: readable(timer), "the timer")
    assert time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= now + 20_000_000
    timer.close()


def test_no_moment_never_comes() -> None:
    timer = TimerDescriptor()
    timer.set(1)
    timer.set(0)
    assert not readable(timer)
    timer.close()
