"""The cache of things that take long to build."""

import os
import threading
from pathlib import Path

import pytest

from tests import cache
from tests.waiting import patience


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def builder(calls: list[str], word: str) -> cache.Build:
    def build(work: Path, _final: Path) -> None:
        calls.append(word)
        (work / "word").write_text(word)

    return build


def test_the_same_recipe_is_built_once() -> None:
    calls: list[str] = []
    first = cache.built("thing", "recipe", builder(calls, "a"))
    assert cache.built("thing", "recipe", builder(calls, "b")) == first
    assert (first / "word").read_text() == "a"
    assert calls == ["a"]


def test_another_recipe_gives_another_thing() -> None:
    calls: list[str] = []
    assert cache.built("thing", "one", builder(calls, "a")) != cache.built("thing", "two", builder(calls, "b"))
    assert calls == ["a", "b"]


def test_a_failed_build_leaves_nothing_and_can_be_repeated(directory: Path) -> None:
    def fail(work: Path, _final: Path) -> None:
        (work / "half").touch()
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        cache.built("thing", "recipe", fail)
    assert [path.name for path in directory.iterdir()] == [".thing.lock"]
    assert (cache.built("thing", "recipe", builder([], "a")) / "word").read_text() == "a"


def test_what_a_killed_build_left_is_removed(directory: Path) -> None:
    abandoned = directory / ".thing-building-killed"
    abandoned.mkdir(parents=True)
    cache.built("thing", "recipe", builder([], "a"))
    assert not abandoned.exists()


def test_two_sessions_do_not_build_the_same_twice() -> None:
    calls: list[str] = []
    started = threading.Event()
    go_on = threading.Event()

    def slow(work: Path, _final: Path) -> None:
        started.set()
        go_on.wait(patience(10))
        calls.append("slow")

    first = threading.Thread(target=cache.built, args=("thing", "recipe", slow))
    first.start()
    started.wait(patience(10))
    second = threading.Thread(target=cache.built, args=("thing", "recipe", builder(calls, "second")))
    second.start()
    go_on.set()
    first.join()
    second.join()
    assert calls == ["slow"]


def test_only_what_nobody_used_for_long_makes_room() -> None:
    old = cache.built("thing", "old", builder([], "a"))
    recent = cache.built("thing", "recent", builder([], "b"))
    os.utime(old, (0, 0))
    new = cache.built("thing", "new", builder([], "c"))
    assert [path.exists() for path in (old, recent, new)] == [False, True, True]


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.directory() == Path("/somewhere/insula-tests")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.directory() == Path("/var/cache/insula-tests")
