"""What tests cost: processor time alone, of children too, told in terms of a usual host."""

import subprocess
import sys
import time

import pytest

from tests import processortime
from tests.processortime import Meter

SPINS = "import time\nwhile time.process_time() < 0.3: pass"


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_waiting_costs_nothing_and_work_what_it_takes() -> None:
    meter = Meter()
    time.sleep(0.5)
    waited = meter.lap()
    spin(0.5)
    assert meter.lap() * meter.slowness() >= 0.49
    assert waited * meter.slowness() < 0.4


def test_children_that_have_been_collected_count() -> None:
    meter = Meter()
    subprocess.run([sys.executable, "-c", SPINS], check=True)
    assert meter.lap() * meter.slowness() >= 0.29


def test_on_a_slower_host_the_same_work_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    slowness = Meter().slowness()

    def slower() -> int:
        return sum(work() for _ in range(20))

    work = processortime._work
    monkeypatch.setattr(processortime, "_work", slower)
    assert Meter().slowness() > 5 * slowness
