from typing import Any

import pytest

from insula.cli import buildprogress
from insula.cli.buildprogress import BuildBar, BuildLines, BuildPace, build_progress, duration


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _report(phase: str, fraction: float | None, received: int = 0, text: str = "libc6") -> dict[str, Any]:
    return {"phase": phase, "fraction": fraction, "text": text, "received": received}


def test_a_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    pace = BuildPace(clock)
    for received in (0, 1 << 20, 2 << 20):
        pace.note(_report("downloading", 0.1, received))
        clock.now += 1
    assert pace.rate == pytest.approx((2 << 20) / 3)
    for _ in range(8):
        pace.note(_report("installing", 0.3, 2 << 20))
        clock.now += 1
    assert pace.rate is None


def test_the_time_left_is_told_once_it_can_be() -> None:
    clock = Clock()
    pace = BuildPace(clock)
    pace.note(_report("preparing", 0.04))
    clock.now += 60
    assert pace.left is None and pace.text() == ""
    pace.note(_report("installing", 0.75))
    assert pace.left == pytest.approx(20) and pace.text() == "about 20 s left"
    pace.note(_report("installing", None))
    assert pace.left == pytest.approx(20)


def test_a_slow_phase_does_not_throw_over_at_once_what_was_thought_before() -> None:
    clock = Clock()
    pace = BuildPace(clock)
    clock.now += 20
    pace.note(_report("downloading", 0.5))
    assert pace.left == pytest.approx(20)
    clock.now += 10
    pace.note(_report("installing", 0.5))
    assert pace.left == pytest.approx(20)  # between the 10 of before and the 30 of now
    clock.now += 100
    pace.note(_report("installing", 0.5))
    left = pace.left
    assert left is not None and 120 < left < 131


def test_times_are_short_words() -> None:
    assert [duration(each) for each in (0.4, 89, 200)] == ["0 s", "89 s", "3 min"]


def test_lines_come_at_each_phase_and_at_least_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = BuildLines(clock)
    lines.show(_report("preparing", 0.0))
    lines.show(_report("preparing", 0.01))
    lines.wait()
    assert len(capsys.readouterr().err.splitlines()) == 1
    clock.now += 4
    lines.wait()
    lines.wait()
    assert capsys.readouterr().err == "preparing: libc6 (4 s so far)\n"
    clock.now += 10
    lines.show(_report("preparing", 0.5, text="x\x1b[6n"))
    assert capsys.readouterr().err == "preparing: x\\x1b[6n (14 s so far, about 10 s left)\n"


def test_a_builder_that_says_nothing_yet_is_waited_for_visibly(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = BuildLines(clock)
    clock.now += 5
    lines.wait()
    assert capsys.readouterr().err == "waiting: for the builder (5 s so far)\n"


def test_a_bar_is_told_all_of_it_as_neutral_text() -> None:
    updates: list[dict[str, Any]] = []

    class Bar:
        def update(self, task: int, **fields: Any) -> None:
            assert task == 7
            updates.append(fields)

    bar = BuildBar(Bar(), 7)
    bar.show(_report("down\x1bloading", 0.5))
    bar.wait()
    assert updates[0]["phase"] == "down\\x1bloading" and updates[0]["completed"] == 0.5
    assert updates[1] == {"pace": ""}


def test_who_wants_none_is_told_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildprogress, "LINE_SECONDS", 0.0)
    with build_progress(quiet=True) as progress:
        progress.show(_report("preparing", 0.0))
        progress.wait()
    assert capsys.readouterr() == ("", "")
