import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insula.engine.launch import readyscopes, systemdscope
from insula.engine.launch.readyscopes import ReadyScope, ReadyScopes
from insula.engine.launch.systemdscope import ScopeError
from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.unit.engine.launch.fakescopes import ScopeMaker, Stand
from tests.waiting import until

SLICE = "machine.slice"


@pytest.fixture
def stands() -> list[Stand]:
    """All placeholders there were."""
    return []


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: list[Stand]) -> Iterator[ScopeMaker]:
    made = ScopeMaker(tmp_path)

    def stand() -> Stand:
        stands.append(Stand())
        return stands[-1]

    monkeypatch.setattr(systemdscope, "groups_of", made.groups_of)
    monkeypatch.setattr(readyscopes, "Placeholder", stand)
    monkeypatch.setattr(readyscopes, "_DELAY", 0.01)
    monkeypatch.setattr(Cgroup, "take_over", lambda group, pid, beside: None)
    yield made
    made.close()


@pytest.fixture
def ready(systemd: ScopeMaker, tmp_path: Path) -> Iterator[ReadyScopes]:
    made = ReadyScopes(systemd.scopes, Hierarchies(v2=str(tmp_path)))
    yield made
    systemd.open.set()
    made.close()


def taken_ready(ready: ReadyScopes, slice_name: str = SLICE) -> ReadyScope:
    """Return one that stands ready, once one does."""
    found: list[ReadyScope] = []

    def taken() -> bool:
        found.extend(filter(None, [ready.take_at_once(slice_name)]))
        return bool(found)

    until(taken, "a scope standing ready")
    return found[0]


def test_a_start_that_finds_none_ready_waits_for_one_of_its_own(ready: ReadyScopes, systemd: ScopeMaker) -> None:
    assert ready.take_at_once(SLICE) is None
    taken = ready.take(SLICE)
    assert taken.group.path == f"{SLICE}/{systemd.units[0]}/insula"
    assert taken.usable
    assert taken.unit.startswith("machine-insula\\x2d")


def test_one_that_somebody_stops_ends_and_others_stay(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    ready.prepare(SLICE)
    until(lambda: len(systemd.units) == 1, "a scope standing ready")
    ready.drop("machine-another.scope")

    def dropped() -> bool:
        ready.drop(systemd.units[0])
        return not stands[0].alive

    until(dropped, "the end of its placeholder")
    assert ready.take_at_once(SLICE) is None
    assert len(systemd.units) == 1


def test_what_is_given_back_ends_and_the_next_stands_ready_in_the_same_slice(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    first = ready.take("machine-prod.slice")
    ready.give_back(first)
    assert not stands[0].alive
    second = taken_ready(ready, "machine-prod.slice")
    assert second.unit != first.unit
    assert [each.slice for each in (first, second)] == ["machine-prod.slice"] * 2
    assert ready.take_at_once(SLICE) is None
    until(lambda: stands[0].ends == 1, "the first placeholder's end being awaited")


def test_one_that_somebody_has_ended_meanwhile_is_not_used(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    ready.prepare(SLICE)
    until(lambda: SLICE in ready._ready, "a scope standing ready")
    stands[0].alive = False
    assert ready.take(SLICE).unit == systemd.units[1]
    until(lambda: stands[0].ends == 1, "the dead placeholder being reaped")


def test_one_whose_group_is_gone_is_not_used(ready: ReadyScopes, systemd: ScopeMaker, tmp_path: Path) -> None:
    ready.prepare(SLICE)
    until(lambda: SLICE in ready._ready, "a scope standing ready")
    ready._ready[SLICE].group.remove()
    assert ready.take(SLICE).unit == systemd.units[1]


def test_a_start_that_comes_while_one_is_being_made_gets_that_one(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    systemd.open.clear()
    ready.prepare(SLICE)
    until(lambda: SLICE in ready._making, "one being made")
    threading.Timer(0.05, systemd.open.set).start()
    assert ready.take(SLICE).unit == systemd.units[0]
    assert len(stands) == 1


def test_many_starts_at_once_have_a_scope_each(ready: ReadyScopes, systemd: ScopeMaker) -> None:
    ready.prepare(SLICE)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: ready.take(SLICE), range(16)))
    assert len({each.unit for each in taken}) == 16
    for each in taken:
        ready.give_back(each)
    taken_ready(ready)
    until(lambda: not ready._wanted and not ready._making, "nothing more being made")
    assert len(systemd.units) <= 18


def test_a_refusal_is_told_to_who_waits_and_tried_again_by_the_next(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    systemd.refusal = "not today"
    ready.prepare(SLICE)
    until(lambda: len(stands) == 1 and stands[0].ends == 1, "the first being given up")
    with pytest.raises(ScopeError, match="not today"):
        ready.take(SLICE)
    assert [each.ends for each in stands] == [1, 1]
    systemd.refusal = ""
    assert ready.take(SLICE).usable


def test_a_refusal_reaches_a_start_that_took_what_was_being_made(ready: ReadyScopes, systemd: ScopeMaker) -> None:
    systemd.refusal = "not today"
    systemd.open.clear()
    ready.prepare(SLICE)
    until(lambda: SLICE in ready._making, "one being made")
    threading.Timer(0.05, systemd.open.set).start()
    with pytest.raises(ScopeError, match="not today"):
        ready.take(SLICE)


def test_scopes_stand_ready_in_the_slices_of_late_only(
    ready: ReadyScopes, stands: list[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readyscopes, "_MOST", 2)
    for name in ("a.slice", "b.slice", "c.slice"):
        ready.prepare(name)
        until(lambda name=name: name in ready._ready, "a scope standing ready")  # type: ignore[misc]
    until(lambda: [each.ends for each in stands] == [1, 0, 0], "the oldest's end")
    assert set(ready._ready) == {"b.slice", "c.slice"}


def test_the_end_leaves_no_placeholder_and_no_thread(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand]
) -> None:
    ready.prepare(SLICE)
    until(lambda: SLICE in ready._ready, "a scope standing ready")
    ready.give_back(ready.take("b.slice"))
    ready.close()
    assert [each.ends for each in stands] == [1] * len(stands)
    assert ready._thread is None
    ready.prepare(SLICE)
    assert ready._thread is None


def test_a_scope_that_is_made_after_the_end_ends_too(
    ready: ReadyScopes, systemd: ScopeMaker, stands: list[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readyscopes, "_LAST_PATIENCE", 0.01)
    systemd.open.clear()
    ready.prepare(SLICE)
    until(lambda: stands, "one being made")
    ready.close()
    assert stands[0].alive
    systemd.open.set()
    until(lambda: stands[0].ends == 1, "the end of its placeholder")


def test_a_thread_without_anything_to_do_ends(
    ready: ReadyScopes, systemd: ScopeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readyscopes, "_IDLE", 0.05)
    ready.prepare(SLICE)
    taken = taken_ready(ready)
    until(lambda: ready._thread is None, "the thread's end")
    ready.give_back(taken)
    taken_ready(ready)
