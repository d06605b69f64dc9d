"""Limits that the group which a guest sees says too."""

from pathlib import Path

from insula.kernel.cgroups import repeating


def test_a_quota_and_its_burst_are_repeated_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.mkdir()
    for directory, quota, burst in ((tmp_path, "50000 100000", "20000"), (payload, "max 100000", "90000")):
        (directory / "cpu.max").write_text(quota)
        (directory / "cpu.max.burst").write_text(burst)
    (tmp_path / "memory.max").write_text("4096")
    repeating.repeat(
        str(tmp_path), str(payload), ["cpu.max.burst", "cpu.max", "memory.max", "pids.max"], ["cpu", "memory"]
    )
    assert {each.name: each.read_text() for each in payload.iterdir()} == {
        "cpu.max": "50000 100000",
        "cpu.max.burst": "20000",
    }
