"""Ids for domains: own ones, the same for life, whatever happens to the file."""

import errno
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine.spec import IdMap, IdRange
from insula.errors import OperationFailedError
from insula.layout import Layout
from insula.storage.idpools import SIZE, common
from insula.storage.idranges import FORMER_FILE, LOOK_AGAIN, IdRanges, fits, map_of

POOL = range(SIZE * 100, SIZE * 108)
EVERYTHING = range(1 << 32)


def allocator(
    prefix: Path,
    *,
    pools: Sequence[range] = (POOL,),
    taken: Sequence[range] = (),
    mapped: Sequence[range] = (EVERYTHING,),
    recover: Callable[[], Mapping[UUID, IdMap]] = dict,
    running: Callable[[], Sequence[range]] = list,
    known: Callable[[range], bool] = lambda ids: False,
    root: Callable[[int], bool] = lambda first: False,
    clock: Callable[[], float] = lambda: 0.0,
) -> IdRanges:
    return IdRanges(
        Layout.prefix(prefix),
        recover=recover,
        pools=lambda: pools,
        listed=lambda: taken,
        running=running,
        known=known,
        root=root,
        mapped=lambda: mapped,
        clock=clock,
    )


def ids_of(idmap: IdMap) -> range:
    (whole,) = idmap.uids
    assert idmap.gids == idmap.uids
    assert whole.inside == 0
    return range(whole.outside, whole.outside + whole.count)


def test_a_domain_gets_a_range_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    web, db = uuid4(), uuid4()
    assert ranges.find(web) is None
    first = ranges.allocate(web)
    assert len(ids_of(first)) == SIZE
    assert not common(ids_of(first), ids_of(ranges.allocate(db)))
    assert ranges.allocate(web) == first
    assert allocator(tmp_path).find(web) == first


ROOMY = range(SIZE * 1000, SIZE * 3000)


def extents(idmap: IdMap) -> list[tuple[int, int]]:
    assert idmap.uids == idmap.gids
    assert all(ahead.outside + ahead.count == each.outside for ahead, each in pairwise(idmap.uids))
    return [(each.inside, each.count) for each in idmap.uids]


def test_of_a_large_pool_domains_get_ids_for_the_containers_of_their_users_until_half_may_be_gone(
    tmp_path: Path,
) -> None:
    ranges = allocator(tmp_path, pools=(ROOMY,))
    maps = [ranges.allocate(uuid4()) for _ in range(501)]
    assert {tuple(extents(each)) for each in maps[:500]} == {((0, SIZE), (100_000, SIZE))}
    assert extents(maps[500]) == [(0, SIZE)]
    outside = sorted((each.outside, each.count) for idmap in maps for each in idmap.uids)
    assert all(start + count <= following for (start, count), (following, _) in pairwise(outside))


def test_where_no_larger_range_is_free_a_domain_gets_a_usual_one_unless_it_asked_for_more(tmp_path: Path) -> None:
    taken = [range(start, start + 1) for start in range(ROOMY.start, ROOMY.stop, 2 * SIZE)]
    ranges = allocator(tmp_path, pools=(ROOMY,), taken=taken)
    assert extents(ranges.allocate(uuid4())) == [(0, SIZE)]
    with pytest.raises(OperationFailedError, match="no range of 131072 ids is free for another domain"):
        ranges.allocate(uuid4(), SIZE)


def test_a_domain_gets_as_many_ids_as_it_asks_for_and_others_only_while_it_does_not_run(tmp_path: Path) -> None:
    ranges, web = allocator(tmp_path, pools=(ROOMY,)), uuid4()
    few = ranges.allocate(web, 0)
    assert extents(few) == [(0, SIZE)]
    assert fits(few, 0) and fits(few, None) and not fits(few, 3 * SIZE)
    assert ranges.allocate(web, 3 * SIZE) == few
    many = ranges.allocate(web, 3 * SIZE, idle=True)
    assert extents(many) == [(0, SIZE), (100_000, 3 * SIZE)]
    assert ranges.allocate(web, idle=True) == many == allocator(tmp_path, pools=(ROOMY,)).find(web)
    assert fits(many, 3 * SIZE) and not fits(many, 0)


def test_ranges_with_ids_for_users_are_known_again_when_the_list_is_lost(tmp_path: Path) -> None:
    ranges, web = allocator(tmp_path, pools=(ROOMY,)), uuid4()
    known = ranges.allocate(web, 2 * SIZE)
    ranges.path.write_text("nonsense")
    assert allocator(tmp_path, pools=(ROOMY,), recover=lambda: {web: known}).find(web) == known


def former_file(prefix: Path, ranges: Mapping[UUID, range]) -> Path:
    """What insulad wrote before each change was a line."""
    path = Layout.prefix(prefix).state / FORMER_FILE
    path.parent.mkdir(parents=True)
    pairs = {str(uuid): [ids.start, len(ids)] for uuid, ids in ranges.items()}
    path.write_text(json.dumps({"format": 1, "ranges": pairs}, indent=1))
    return path


def test_domains_of_an_earlier_version_keep_their_ids(tmp_path: Path) -> None:
    web, db, new = uuid4(), uuid4(), uuid4()
    given = {web: range(SIZE * 100, SIZE * 101), db: range(SIZE * 103, SIZE * 104)}
    former = former_file(tmp_path, given)
    ranges = allocator(tmp_path)
    fresh = ids_of(ranges.allocate(new))
    assert not any(common(fresh, ids) for ids in given.values())
    assert not former.exists()
    for reader in (ranges, allocator(tmp_path)):
        found = {uuid: ids_of(idmap) for uuid in given if (idmap := reader.find(uuid)) is not None}
        assert found == given


def test_ids_of_an_earlier_version_that_cannot_be_written_anew_are_read_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = uuid4()
    former = former_file(tmp_path, {web: range(SIZE * 100, SIZE * 101)})

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr("insula.storage.idjournal.replace_file", refuse)
    ranges = allocator(tmp_path)
    found = ranges.find(web)
    assert found is not None
    assert ids_of(found) == range(SIZE * 100, SIZE * 101)
    with pytest.raises(OperationFailedError):
        ranges.allocate(uuid4())
    assert former.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"format": 3, "ranges": {}}', '{"format": 1, "ranges": {"x": [1, 2]}}'])
def test_a_broken_file_of_an_earlier_version_is_rebuilt_from_what_is_known(tmp_path: Path, text: str) -> None:
    web, ids = uuid4(), range(SIZE * 102, SIZE * 103)
    former_file(tmp_path, {}).write_text(text)
    found = allocator(tmp_path, recover=lambda: {web: map_of(ids)}).find(web)
    assert found is not None
    assert ids_of(found) == ids


def test_domains_that_are_no_more_give_their_ranges_back(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    web, db = uuid4(), uuid4()
    kept = ranges.allocate(web)
    ranges.allocate(db)

    ranges.keep_only({web})

    assert (ranges.find(web), ranges.find(db)) == (kept, None)
    written = ranges.path.stat().st_mtime_ns
    ranges.keep_only({web})
    assert ranges.path.stat().st_mtime_ns == written


def test_what_a_killed_daemon_left_half_written_goes_when_the_next_looks_through_them(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    web = uuid4()
    kept = ranges.allocate(web)
    half = ranges.path.with_name(".insula-new-0123456789abcdef")
    half.write_bytes(b"{")

    ranges.keep_only({web})

    assert not half.exists()
    assert ranges.find(web) == kept


def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    ranges, others = allocator(tmp_path), allocator(tmp_path)
    web = uuid4()
    first = ranges.allocate(web)
    others.release(web)
    assert ranges.find(web) is None
    assert ranges.allocate(uuid4()) == first


def test_ranges_stay_within_the_pool_and_never_overlap(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    given_out = [ids_of(ranges.allocate(uuid4())) for _ in range(8)]
    assert sorted(each.start for each in given_out) == list(POOL[::SIZE])
    with pytest.raises(OperationFailedError, match="no range of 65536 ids is free"):
        ranges.allocate(uuid4())


def test_what_is_released_can_be_given_again(tmp_path: Path) -> None:
    ranges = allocator(tmp_path, pools=(POOL[:SIZE],))
    web, db = uuid4(), uuid4()
    first = ranges.allocate(web)
    ranges.release(web)
    ranges.release(web)
    assert ranges.find(web) is None
    assert ranges.allocate(db) == first


@given(st.lists(st.tuples(st.integers(0, SIZE * 9), st.integers(1, SIZE * 2)), max_size=5))
def test_ids_of_others_are_never_given_out(
    tmp_path_factory: pytest.TempPathFactory, others: list[tuple[int, int]]
) -> None:
    taken = [range(POOL.start + start, POOL.start + start + length) for start, length in others]
    ranges = allocator(tmp_path_factory.mktemp("p"), taken=taken)
    try:
        while True:
            found = ids_of(ranges.allocate(uuid4()))
            assert not any(common(found, each) for each in taken)
    except OperationFailedError:
        free = [slot for slot in POOL[::SIZE] if not any(common(range(slot, slot + SIZE), each) for each in taken)]
        assert (len(ranges.path.read_text().splitlines()) - 1 if ranges.path.exists() else 0) == len(free)


def test_what_begins_after_the_look_at_all_processes_is_not_given_out_either(tmp_path: Path) -> None:
    since = range(POOL.start + SIZE, POOL.start + SIZE * 2)
    ranges = allocator(tmp_path, known=lambda ids: ids == since)
    found = {ids_of(ranges.allocate(uuid4())).start for _ in range(7)}
    assert found == set(POOL[::SIZE]) - {since.start}
    with pytest.raises(OperationFailedError, match="no range"):
        ranges.allocate(uuid4())


def test_ids_of_the_users_of_a_guest_that_begins_after_the_look_are_not_given_out_either(tmp_path: Path) -> None:
    others: list[range] = []
    ranges = allocator(
        tmp_path,
        running=lambda: list(others),
        known=lambda ids: any(each.start in ids for each in others),  # no process has the ids of its users
        root=lambda first: any(each.start == first for each in others),
    )
    first = ids_of(ranges.allocate(uuid4()))
    others.append(range(first.stop, first.stop + 3 * SIZE))
    with suppress(OperationFailedError):  # there are no more
        while True:
            assert not common(ids_of(ranges.allocate(uuid4())), others[0])


def test_a_host_user_whose_id_looks_like_a_guests_root_takes_no_more_than_a_look(tmp_path: Path) -> None:
    ranges = allocator(tmp_path, root=lambda first: first == POOL.start)
    found = {ids_of(ranges.allocate(uuid4())).start for _ in range(len(POOL) // SIZE)}
    assert found == set(POOL[::SIZE])


def test_all_processes_are_looked_at_once_for_what_is_given_out_within_some_seconds(tmp_path: Path) -> None:
    looks, now = [0], [1000.0]

    def running() -> list[range]:
        looks[0] += 1
        return found

    found: list[range] = []
    ranges = allocator(tmp_path, running=running, clock=lambda: now[0])
    first = uuid4()
    gone = ids_of(ranges.allocate(first))
    ranges.allocate(uuid4())
    assert looks == [1]
    ranges.release(first)
    found.append(gone[:1])
    now[0] += LOOK_AGAIN
    assert ids_of(ranges.allocate(uuid4())) != gone
    assert looks == [2]


def test_a_range_more_is_a_line_more(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    ranges.allocate(uuid4())
    before, inode = ranges.path.read_bytes(), ranges.path.stat().st_ino
    ranges.allocate(uuid4())
    assert ranges.path.read_bytes().startswith(before)
    assert ranges.path.stat().st_ino == inode


def test_the_second_pool_serves_when_the_first_is_full(tmp_path: Path) -> None:
    ranges = allocator(tmp_path, pools=(POOL[:SIZE], POOL[SIZE * 4 : SIZE * 5]))
    assert [ids_of(ranges.allocate(uuid4())).start for _ in range(2)] == [POOL.start, POOL.start + SIZE * 4]


def test_inside_a_container_only_ids_that_exist_are_given_out(tmp_path: Path) -> None:
    ranges = allocator(tmp_path, mapped=[range(SIZE), range(POOL.start + SIZE * 3 - 1, POOL.start + SIZE * 5)])
    assert {ids_of(ranges.allocate(uuid4())).start for _ in range(2)} == {POOL.start + SIZE * 3, POOL.start + SIZE * 4}
    with pytest.raises(OperationFailedError):
        ranges.allocate(uuid4())


def test_two_prefixes_begin_at_different_places(tmp_path: Path) -> None:
    wide = [range(SIZE * 100, SIZE * 1100)]
    starts = {ids_of(allocator(tmp_path / name, pools=wide).allocate(uuid4())).start for name in "abcdef"}
    assert len(starts) > 4
    assert all(start >= SIZE * 600 for start in starts)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"format": 99}\n',
        b'{"format": 2}\n{"domain": "x", "ids": [6553600, 65536]}\n',
        b'{"format": 2}\n{"domain": "6d2a8a1e-3b1f-4a5c-9a53-1c1f6fd0a001", "ids": [6553600]}\n',
        b'{"format": 2}\n{"domain": "6d2a8a1e-3b1f-4a5c-9a53-1c1f6fd0a001", "ids": [6553600, 65536]}\n'
        b'{"domain": "6d2a8a1e-3b1f-4a5c-9a53-1c1f6fd0a002", "ids": [6553601, 65536]}\n',
    ],
)
def test_a_broken_file_is_set_aside_and_rebuilt_from_what_is_known(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    web, shared, odd = uuid4(), uuid4(), uuid4()
    known = {
        web: map_of(range(POOL.start + SIZE, POOL.start + SIZE * 2)),
        shared: map_of(range(POOL.start + SIZE, POOL.start + SIZE * 2)),
        odd: IdMap(uids=(IdRange(inside=0, outside=5, count=1),), gids=(IdRange(inside=0, outside=5, count=1),)),
    }
    ranges = allocator(tmp_path, recover=lambda: known)
    ranges.path.parent.mkdir(parents=True)
    ranges.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert ranges.find(web) == known[web]
    assert "idranges.jsonl" in caplog.text
    assert ranges.find(shared) is None
    assert ranges.find(odd) is None
    assert ranges.path.with_name("idranges.jsonl.broken").read_bytes() == content
    assert not common(ids_of(ranges.allocate(uuid4())), ids_of(known[web]))


def test_what_is_given_out_right_after_a_broken_file_was_rebuilt_is_written_behind_it(tmp_path: Path) -> None:
    web, db, ids = uuid4(), uuid4(), range(SIZE * 102, SIZE * 103)
    ranges = allocator(tmp_path, recover=lambda: {web: map_of(ids)})
    ranges.path.parent.mkdir(parents=True)
    ranges.path.write_text("nonsense")
    given = ranges.allocate(db)
    again = allocator(tmp_path)
    assert (again.find(web), again.find(db)) == (map_of(ids), given)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_file_that_cannot_be_read_just_now_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ranges, web = allocator(tmp_path), uuid4()
    given = ranges.allocate(web)

    def refused(descriptor: int, *_: int) -> bytes:
        raise OSError(number, os.strerror(number))

    ranges = allocator(tmp_path)
    with monkeypatch.context() as failing:
        failing.setattr(os, "pread", refused)
        with pytest.raises(OperationFailedError, match="ids of domains cannot be read"):
            ranges.allocate(uuid4())
    assert allocator(tmp_path).find(web) == given
    assert not ranges.path.with_name("idranges.jsonl.broken").exists()


def test_the_file_is_readable_for_nobody_else(tmp_path: Path) -> None:
    ranges = allocator(tmp_path)
    ranges.allocate(uuid4())
    assert ranges.path.stat().st_mode & 0o077 == 0
    assert ranges.path.parent.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a directory should be")
    with pytest.raises(OperationFailedError, match="ids of domains"):
        allocator(tmp_path).allocate(uuid4())


def allocate_three(prefix: Path) -> list[int]:
    ranges = allocator(prefix, pools=(range(SIZE * 100, SIZE * 200),))
    return [ids_of(ranges.allocate(uuid4())).start for _ in range(3)]


def test_processes_of_one_installation_never_get_the_same(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as workers:
        found = [start for three in workers.map(allocate_three, [tmp_path] * 6) for start in three]
    assert len(found) == len(set(found)) == 18
