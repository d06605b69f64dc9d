from pathlib import Path

from insula.kernel.meminfo import MEMINFO, read_meminfo


def test_values_are_found_by_their_names_in_kib(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:     4096 kB\nSwapFree:        7 kB\nHugePages_Total:       3\n")
    assert read_meminfo(tmp_path / "meminfo") == {"MemTotal": 4096, "SwapFree": 7, "HugePages_Total": 3}


def test_a_nodes_own_has_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("Node 0 MemTotal:     4096 kB\nNode 0 MemFree:   12 kB\n")
    assert read_meminfo(tmp_path / "meminfo") == {"MemTotal": 4096, "MemFree": 12}


def test_this_host_has_memory_and_tells_its_swap() -> None:
    found = read_meminfo(MEMINFO)
    assert found["MemTotal"] > 0
    assert found["SwapFree"] >= 0
