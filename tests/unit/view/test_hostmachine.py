"""What views know of the host."""

from pathlib import Path

from insula.view.hostmachine import HostMachine, Remembered, cpuinfo_blocks
from tests.viewedhost import MIB, host_machine, write


def test_it_is_read_from_the_hosts_files(tmp_path: Path) -> None:
    host = host_machine(tmp_path)
    assert (host.online, host.possible) == (tuple(range(8)), 8)
    memory = host.memory()
    assert (memory.total, memory.free, memory.available) == (8192 * MIB, 4096 * MIB, 6144 * MIB)
    assert (memory.swap_total, memory.swap_free) == (2048 * MIB, 1024 * MIB)
    assert host.cpuinfo[3].startswith("processor\t: 3\n")
    assert (host.block_name("254:0"), host.block_name("7:9")) == ("vda", None)


def test_what_hardly_changes_is_kept_and_what_is_asked_for_now_is_read(tmp_path: Path) -> None:
    host = host_machine(tmp_path)
    first = host.memory()
    write(tmp_path / "proc", {"meminfo": "MemTotal: 8388608 kB\nMemFree: 4 kB\nMemAvailable: 8 kB\n"})
    assert host.memory() == first
    assert host.memory(now=True).free == 4096


def test_a_value_is_read_anew_once_it_is_old() -> None:
    values = iter(range(10))
    remembered = Remembered(lambda: next(values), 0.0)
    assert [remembered.value(), remembered.value()] == [0, 1]


def test_what_cpuinfo_says_of_no_processor_is_kept_apart() -> None:
    text = "processor\t: 0\nBogoMIPS\t: 48\n\nprocessor\t: 1\nBogoMIPS\t: 48\n\nHardware\t: A board\nSerial\t\t: 0\n"
    blocks = cpuinfo_blocks(text)
    assert set(blocks) == {-1, 0, 1}
    assert blocks[-1].startswith("Hardware")


def test_this_host_is_read() -> None:
    host = HostMachine()
    assert host.memory().total > host.memory().free > 0
    assert set(host.online) <= set(host.cpuinfo)
