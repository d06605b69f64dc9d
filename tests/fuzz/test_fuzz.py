"""The short run of every target, by a fixed seed; and that a run finds what is there and makes it short."""

import mmap
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import SEEDS, run
from tests.fuzz.target import BrokenError, One, Target, stateless
from tests.fuzz.targets import TARGETS, target

SEED = 6


@pytest.mark.parametrize("name", [each.name for each in TARGETS if not each.enclosed])
def test_nothing_that_others_write_breaks_what_reads_it(name: str) -> None:
    each = target(name)
    result = run(each, SEED, count=each.count)
    assert not result.finds, "\n".join(f"{find.place}: {find.text}: {find.data!r}" for find in result.finds.values())


def test_every_directory_of_seeds_is_a_targets() -> None:
    assert {each.name for each in SEEDS.iterdir() if each.is_dir()} <= {each.name for each in TARGETS}


def planted(one: One, stall: float = 1.0) -> Target:
    return Target(
        name="planted", inputs=lambda chance: lambda: chance.randbytes(40), world=stateless(one), count=0, stall=stall
    )


def test_a_find_is_told_once_with_its_input_made_short(tmp_path: Path) -> None:
    def one(data: bytes) -> None:
        if 7 in data and 9 in data:
            raise ValueError("seven and nine")

    result = run(planted(one), 1, count=2000)
    (find,) = result.finds.values()
    assert sorted(find.data) == [7, 9]
    assert find.place.startswith("ValueError at test_fuzz.py:")
    assert find.save(tmp_path).read_bytes() == find.data


def test_the_same_seed_gives_the_same_inputs() -> None:
    for each in TARGETS:
        first, second = (each.inputs(Random(3)) for _ in range(2))
        assert [first() for _ in range(20)] == [second() for _ in range(20)], each.name


def test_an_input_that_takes_too_long_is_a_find() -> None:
    def one(data: bytes) -> None:
        sum(range(200_000))

    result = run(planted(one, stall=0.0001), 1, count=1)
    assert [find.place for find in result.finds.values()] == ["BrokenError: it stalls"]


def test_a_process_that_grows_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[mmap.mmap] = []

    def keep(data: bytes) -> None:
        # Not from the heap, where earlier tests may have left room.
        kept.append(mmap.mmap(-1, 100_000))
        kept[-1].write(b"x" * 100_000)

    monkeypatch.setattr(campaign, "GROWTH_MAX", 4 << 20)
    result = run(planted(keep), 1, count=200)
    assert list(result.finds) == ["growth"]


def test_the_seeds_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "SEEDS", tmp_path)
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted/one").write_bytes(b"seed")

    def one(data: bytes) -> None:
        if data == b"seed":
            raise BrokenError("seen")

    assert list(run(planted(one), 1, count=0).finds) == ["BrokenError: seen"]
