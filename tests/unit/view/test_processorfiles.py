"""The texts about a guest's processors."""

from pathlib import Path

from insula.view.hostmachine import cpuinfo_blocks
from insula.view.loadaverages import LoadAverages
from insula.view.processorfiles import SECOND, cpuinfo, loadavg, stat, uptime
from insula.view.processortimes import GroupTimes, ProcessorTimes
from tests.viewedhost import host_machine


def counted() -> ProcessorTimes:
    times = ProcessorTimes(possible=4)
    each = {1: (5 * SECOND, SECOND, 6 * SECOND), 3: (2 * SECOND, 0, 2 * SECOND)}
    times.advance(100 * SECOND, (1, 3), GroupTimes(user=7 * SECOND, system=SECOND, each=each))
    return times


def test_cpuinfo_has_the_guests_processors_under_the_hosts_numbers(tmp_path: Path) -> None:
    text = cpuinfo(host_machine(tmp_path).cpuinfo, (1, 3, 6)).decode()
    blocks = cpuinfo_blocks(text)
    assert list(blocks) == [1, 3, 6]
    assert text.endswith("\n\n")


def test_cpuinfo_counts_what_the_guest_has_of_a_package(tmp_path: Path) -> None:
    blocks = cpuinfo_blocks(cpuinfo(host_machine(tmp_path).cpuinfo, (0, 1, 3, 6)).decode())
    assert "siblings\t: 3\n" in blocks[0]
    assert "cpu cores\t: 2\n" in blocks[0]
    assert "siblings\t: 1\n" in blocks[6]
    assert "cpu cores\t: 1\n" in blocks[6]
    assert blocks[0].endswith("flags\t\t: fpu")


def test_cpuinfo_of_other_machines_keeps_what_belongs_to_none() -> None:
    blocks = cpuinfo_blocks("processor\t: 0\nBogoMIPS\t: 48\n\nprocessor\t: 1\nBogoMIPS\t: 48\n\nHardware\t: A board\n")
    assert cpuinfo(blocks, (1,)).decode() == "processor\t: 1\nBogoMIPS\t: 48\n\nHardware\t: A board\n\n"


def test_stat_has_a_line_for_each_processor_and_their_sum() -> None:
    text = stat(counted(), (1, 3), boot=1_700_000_000, forks=9, running=2, waiting=1, interrupts=0).decode()
    assert text.splitlines() == [
        "cpu  700 0 100 19200 0 0 0 0 0 0",
        "cpu1 500 0 100 9400 0 0 0 0 0 0",
        "cpu3 200 0 0 9800 0 0 0 0 0 0",
        "intr 0",
        "ctxt 0",
        "btime 1700000000",
        "processes 9",
        "procs_running 2",
        "procs_blocked 1",
        "softirq 0 0 0 0 0 0 0 0 0 0 0",
    ]


def test_uptime_is_told_with_what_all_processors_idled() -> None:
    assert uptime(123_456_789_012, counted()) == b"123.45 192.00\n"


def test_loadavg_tells_averages_tasks_and_the_last_process() -> None:
    averages = LoadAverages()
    assert loadavg(averages, 42) == b"0.00 0.00 0.00 1/42 1\n"
    averages.sample(5 * SECOND, 12)
    averages.running = 12
    averages.saw_pid(700)
    assert loadavg(averages, 42) == b"0.96 0.20 0.06 12/42 700\n"
