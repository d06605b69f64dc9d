"""A request that waits too long is given up; a keeper that says nothing is replaced, and no other."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from insula.daemon import keeperwatch
from insula.daemon.keeperwatch import KeeperWatch
from insula.engine.keeper.link import ANSWER_WITHIN
from insula.engine.keeper.protocol import Verb
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


class Told:
    """What the watch wanted, in order."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def word(self, text: str) -> Callable[[], None]:
        return lambda: self.words.append(text)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(keeperwatch, "PING_AFTER", 0.02)
    monkeypatch.setattr(keeperwatch, "SILENCE", 0.02)
    monkeypatch.setattr(keeperwatch, "_LOOK_EVERY", 0.001)
    return Told()


@pytest_asyncio.fixture
async def watch(told: Told) -> AsyncIterator[KeeperWatch]:
    made = KeeperWatch(
        ping=told.word("ping"),
        wake=told.word("wake"),
        replace=told.word("replace"),
        late=lambda number: told.words.append(f"late {number}"),
    )
    yield made
    made.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(10)):
        while not condition():  # noqa: ASYNC110 - the watch has no event for it
            await asyncio.sleep(0.001)


async def test_a_silent_keeper_is_asked_then_woken_then_replaced(watch: KeeperWatch, told: Told) -> None:
    watch.asked(1, Verb.KILL)
    await until(lambda: len(told.words) >= 3)
    assert told.words[:3] == ["ping", "wake", "replace"]


async def test_a_keeper_that_says_a_word_is_left_alone_however_long_a_request_takes(
    watch: KeeperWatch, told: Told
) -> None:
    watch.asked(1, Verb.GO)
    for count in range(1, 5):
        await until(lambda: told.words.count("ping") >= count)  # noqa: B023 - asked before the next turn
        watch.heard()
    assert "replace" not in told.words


async def test_while_nothing_waits_nothing_is_asked(watch: KeeperWatch, told: Told) -> None:
    watch.asked(1, Verb.KILL)
    watch.answered(1)
    await until(lambda: watch._timer is None)
    assert told.words == []


async def test_each_request_has_its_own_limit(watch: KeeperWatch, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeperwatch, "ANSWER_WITHIN", {Verb.KILL: 0.01, Verb.GO: 100})
    watch.asked(1, Verb.GO)
    watch.asked(2, Verb.KILL)
    await until(lambda: "late 2" in told.words)
    assert "late 1" not in told.words


async def test_every_verb_has_a_limit() -> None:
    assert set(ANSWER_WITHIN) == set(Verb)
