import os
import subprocess
from pathlib import Path

import pytest

from insula.engine import idreservation
from insula.engine.idreservation import COUNT, DEFAULT_POOL, reserve_ids
from insula.errors import ResourceBusyError
from tests.waiting import until

MAP_OF = idreservation._map_of
"""As it is, whatever stands in its place below."""


@pytest.fixture(autouse=True)
def subordinate_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the tests /etc/subuid and /etc/subgid files of their own, both alike; absent at first."""
    path = tmp_path / "subids"
    monkeypatch.setattr(idreservation, "_SUBUID", path)
    monkeypatch.setattr(idreservation, "_SUBGID", path)
    return path


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody else on the host, such as another run of the tests, reserve or map what these look at."""
    monkeypatch.setattr(idreservation, "_NAME", f"insula-test/{os.getpid()}/{tmp_path.name}")
    monkeypatch.setattr(idreservation, "_map_of", lambda _: "0 0 4294967295\n")


def test_each_container_has_ids_of_its_own_as_long_as_it_holds_them() -> None:
    first, second = reserve_ids(), reserve_ids()
    starts = [each.idmap.root_uid for each in (first, second)]
    assert len(set(starts)) == 2
    assert all(start in DEFAULT_POOL and start % COUNT == 0 for start in starts)
    assert {each.count for each in first.idmap.uids} == {COUNT}
    first.close()
    third = reserve_ids()
    assert third.idmap.root_uid == starts[0]
    for each in (second, third):
        each.close()


def test_ids_are_free_again_when_their_holder_dies() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held = reserve_ids()
        os.write(writing, str(held.idmap.root_uid).encode())
        os._exit(0)
    start = int(os.read(reading, 32))
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    again = reserve_ids()
    assert again.idmap.root_uid == start
    again.close()


def test_roots_subordinate_ids_come_first(subordinate_ids: Path) -> None:
    subordinate_ids.write_text("somebody:100000:65536\nroot:1738211328:131072\n")
    reservations = [reserve_ids(), reserve_ids()]
    assert [each.idmap.root_gid for each in reservations] == [1738211328, 1738211328 + COUNT]
    with pytest.raises(ResourceBusyError, match="in use"):
        reserve_ids()
    for each in reservations:
        each.close()


def test_ids_that_somebody_else_was_given_are_passed_over(subordinate_ids: Path) -> None:
    free = reserve_ids()
    start = free.idmap.root_uid
    free.close()
    subordinate_ids.write_text(f"# a comment\nsomebody:{start + 5}:1\nnot a line\n")
    other = reserve_ids()
    assert other.idmap.root_uid == start + COUNT
    other.close()


def test_ids_that_a_running_namespace_maps_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = reserve_ids()
    start = free.idmap.root_uid
    free.close()
    maps = {"self": "0 0 4294967295\n", "1": "0 0 4294967295\n", "17": f"0 {start} 1000\n"}
    monkeypatch.setattr(idreservation, "_map_of", lambda process: maps.get(process, ""))
    monkeypatch.setattr(os, "listdir", lambda _: ["1", "17", "cpuinfo"])
    other = reserve_ids()
    assert other.idmap.root_uid == start + COUNT
    other.close()


@pytest.mark.requires("root")
def test_a_map_of_many_lines_is_read_to_its_end() -> None:
    lines = "".join(f"{number} {1000 + 2 * number} 1\n" for number in range(200))
    # A child in a user namespace of its own, which waits for its map and then for the end of its standard input.
    with subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        own = os.readlink("/proc/self/ns/user")
        until(lambda: os.readlink(f"/proc/{process.pid}/ns/user") != own, "a user namespace")
        Path(f"/proc/{process.pid}/uid_map").write_text(lines)
        assert len(MAP_OF(str(process.pid)).splitlines()) == 200
        process.kill()
