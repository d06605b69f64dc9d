"""Which ids may be given out, read from files like a host's."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.storage.idpools import (
    DEFAULT_POOLS,
    SIZE,
    common,
    has_process,
    has_root,
    mapped_here,
    others_subordinate_ids,
    pools,
    running_maps,
    subordinate_ids,
)

SYSTEMD_CONTAINERS = range(524288, 1879048192)
SYSTEMD_FOREIGN = range(0x7FFE0000, 0x7FFF0000)
SHADOW_SUBORDINATES = range(100000, 600100001)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_usual_pools_lie_where_nobody_else_gives_out_ids() -> None:
    for pool in DEFAULT_POOLS:
        assert len(pool) % SIZE == 0
        assert pool.start % SIZE == 0
        assert pool.stop <= 1 << 31
        for others in (SYSTEMD_CONTAINERS, SYSTEMD_FOREIGN, SHADOW_SUBORDINATES):
            assert not common(pool, others)


def test_the_first_pool_is_clear_of_directory_services_too() -> None:
    assert not common(DEFAULT_POOLS[0], range(200000, 2000200000))
    assert len(DEFAULT_POOLS[0]) // SIZE == 2245


def test_subordinate_ids_are_read_and_nonsense_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "subuid", "alice:100000:65536\n\n# comment\nbob:x:1\nalice:300000:1000\n:1:2\nshort:1\n")
    assert subordinate_ids(path) == {"alice": [range(100000, 165536), range(300000, 301000)]}


def test_no_file_means_no_subordinate_ids(tmp_path: Path) -> None:
    assert subordinate_ids(tmp_path / "none") == {}


def test_an_administrator_chooses_the_pool_by_our_name(tmp_path: Path) -> None:
    uid = write(tmp_path / "subuid", "insula:5000000:655360\nroot:100000:65536\n")
    gid = write(tmp_path / "subgid", "insula:5000000:655360\n")
    assert pools(uid, gid) == (range(5000000, 5655360),)
    assert others_subordinate_ids(uid, gid) == [range(100000, 165536)]


def test_ids_given_to_us_in_one_of_the_files_only_are_none(tmp_path: Path) -> None:
    uid = write(tmp_path / "subuid", "insula:5000000:655360\n")
    gid = write(tmp_path / "subgid", "insula:6000000:655360\n")
    assert pools(uid, gid) == DEFAULT_POOLS


def fake_process(proc: Path, pid: str, namespace: str, uids: str, gids: str) -> None:
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "ns/user").symlink_to(namespace)
    (proc / pid / "uid_map").write_text(uids)
    (proc / pid / "gid_map").write_text(gids)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of three user namespaces: ours, a container's with two processes, and one that maps us to itself."""
    ours = "user:[1]"
    everything = "0 0 4294967295\n"
    fake_process(tmp_path, "1", ours, everything, everything)
    (tmp_path / "self").symlink_to("1")
    fake_process(tmp_path, "20", "user:[2]", "0 100000 65536\n", "0 200000 65536\n")
    fake_process(tmp_path, "21", "user:[2]", "0 100000 65536\n", "0 200000 65536\n")
    fake_process(tmp_path, "30", "user:[3]", everything, everything)
    (tmp_path / "40").mkdir()
    (tmp_path / "meminfo").touch()
    return tmp_path


def test_the_maps_of_running_namespaces_are_taken_once_each(proc: Path) -> None:
    assert running_maps(proc) == [range(100000, 165536), range(200000, 265536)]  # and not those of 21 again


def test_all_ids_exist_on_a_host(proc: Path) -> None:
    assert mapped_here(proc) == [range(4294967295)]


def test_in_a_container_only_those_exist_that_both_maps_have(proc: Path) -> None:
    os.unlink(proc / "self")
    fake_process(proc, "self", "user:[9]", "0 100000 65536\n65536 900000 65536\n", "0 100000 100000\n")
    assert mapped_here(proc) == [range(65536), range(65536, 100000)]


def test_this_kernels_proc_can_be_read() -> None:
    assert all(isinstance(each, range) for each in running_maps())
    assert mapped_here()


RANGES = st.builds(lambda start, length: range(start, start + length), st.integers(0, 60), st.integers(0, 30))


@given(RANGES, RANGES)
def test_common_is_the_intersection(one: range, other: range) -> None:
    assert set(common(one, other)) == set(one) & set(other)


def test_what_cannot_be_read_now_does_not_pass_for_ids_that_nobody_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), os.fspath(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        mapped_here(tmp_path)


def test_the_kernel_knows_who_runs() -> None:
    own = os.getuid()
    assert has_process(range(own, own + SIZE))
    assert not has_process(range(0x7FFD0000, 0x7FFE0000))


def test_of_a_wide_range_the_ids_behind_the_first_ones_may_be_another_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    def priority(which: int, who: int) -> int:
        if who != 0x7FFE0000 - SIZE:
            raise ProcessLookupError
        return 0

    monkeypatch.setattr(os, "getpriority", priority)
    assert has_process(range(0x7FFE0000 - 2 * SIZE, 0x7FFE0000))
    assert has_root(0x7FFE0000 - SIZE) and not has_root(0x7FFE0000)
