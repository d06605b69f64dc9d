"""Intake: a client's calls a slice at a time, in order, and none while it takes no answers."""

import asyncio
import time
from typing import Any

import pytest

from insula.daemon import intake as intake_module
from insula.daemon import rounds as rounds_module
from insula.daemon.intake import Intake
from insula.daemon.rounds import Rounds, Turn
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


class Handled:
    """An intake whose events are anything. room: whether the client takes answers."""

    def __init__(self, seconds: float = 0) -> None:
        self.events: list[Any] = []
        self.slices = 0
        self.room = True
        self._seconds = seconds
        self.intake = Intake(
            Turn(Rounds(), client=0, account=0), self._take, ready=lambda: self.room, worked=self._worked
        )

    def _take(self, event: Any) -> None:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            pass
        self.events.append(event)

    def _worked(self) -> None:
        self.slices += 1


async def test_what_is_quick_is_handled_at_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "SLICE", 60)
    handled = Handled()
    handled.intake.add(range(300))  # type: ignore[arg-type]
    assert handled.events == list(range(300)) and not handled.intake.waiting


async def test_others_get_their_turn_between_slow_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "SLICE", 0.001)
    monkeypatch.setattr(rounds_module, "SLICE", 0.001)
    handled = Handled(seconds=0.002)
    handled.intake.add(range(5))  # type: ignore[arg-type]
    turns = 0
    async with asyncio.timeout(patience(20)):
        while handled.intake.waiting:
            turns += 1
            await asyncio.sleep(0)
    assert handled.events == list(range(5))
    assert turns >= 4 and handled.slices == 5


async def test_nothing_is_handled_while_the_client_takes_no_answers() -> None:
    handled = Handled()
    handled.room = False
    handled.intake.add([1, 2])  # type: ignore[list-item]
    await asyncio.sleep(0)
    assert handled.events == [] and handled.intake.waiting
    handled.room = True
    handled.intake.work()
    await asyncio.sleep(0)
    assert handled.events == [1, 2]


async def test_what_is_left_at_the_end_is_handed_back() -> None:
    handled = Handled()
    handled.room = False
    handled.intake.add([1, 2])  # type: ignore[list-item]
    handled.intake.work()
    left: list[Any] = list(handled.intake.clear())
    assert left == [1, 2]
    await asyncio.sleep(0)
    assert handled.events == []
