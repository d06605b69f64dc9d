"""Rules that somebody takes away come back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from socket import socket

import pytest
import pytest_asyncio

from insula.errors import OperationFailedError
from insula.network.firewall import rulewatch
from insula.network.firewall.rulenotices import RuleNotices
from insula.network.firewall.rulewatch import RuleWatch
from tests import rulesocket
from tests.rulesocket import generation, of_table
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


@dataclass(kw_only=True)
class WatchedRules:
    """A firewall of the table `insula`. missing: how often something is to be put back still; own: our processes."""

    kernel: socket
    table: str = "insula"
    missing: int = 1
    looks: int = 0
    own: set[int] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    looked_around: int = 0

    def made(self, process: int) -> bool:
        return process in self.own

    def restore(self) -> tuple[str, ...]:
        self.looks += 1
        if self.failures:
            raise self.failures.pop()
        if not self.missing:
            return ()
        self.missing -= 1
        return ("rules of the network 'lan'",)

    def look_around(self) -> None:
        self.looked_around += 1

    def harmed(self, process: int = 7) -> None:
        self.kernel.send(of_table("insula") + generation(process))


@pytest_asyncio.fixture
async def rules() -> AsyncIterator[WatchedRules]:
    ours, theirs = rulesocket.pair()
    watched = WatchedRules(kernel=theirs)
    watch = RuleWatch(watched, watched.told.append, RuleNotices(ours))
    yield watched
    watch.close()
    theirs.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience(5)):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def test_what_somebody_takes_away_is_put_back_and_told(rules: WatchedRules) -> None:
    rules.harmed()
    await until(lambda: bool(rules.told))
    assert rules.told == ["nft (process 7) took away or changed rules of the network 'lan'; they are back"]


async def test_changes_of_other_tables_and_our_own_are_nothing_to_look_at(rules: WatchedRules) -> None:
    rules.own = {5}
    rules.kernel.send(of_table("filter") + generation())
    rules.harmed(process=5)
    rules.harmed(process=6)
    await until(lambda: bool(rules.told))
    assert rules.looks == 1


async def test_several_changes_at_once_are_looked_at_once(rules: WatchedRules) -> None:
    for _ in range(5):
        rules.harmed()
    await until(lambda: bool(rules.told))
    assert rules.looks == 1


async def test_who_takes_them_away_again_and_again_meets_them_again_after_a_pause(rules: WatchedRules) -> None:
    rules.missing = 4
    for times in range(4):
        rules.harmed()
        await until(lambda times=times: len(rules.told) > times)  # type: ignore[misc]
    assert rules.missing == 0


@pytest.mark.parametrize("failure", [OperationFailedError("no memory"), RuntimeError("no memory")])
async def test_what_cannot_be_put_back_is_tried_again(
    rules: WatchedRules, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    rules.failures = [failure]
    rules.harmed()
    await until(lambda: bool(rules.told))
    assert "cannot be put back: no memory" in caplog.text
    assert rules.looks == 2


async def test_a_change_of_others_rules_has_them_looked_at_soon_and_once(
    rules: WatchedRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulewatch, "_SETTLED", 0.01)
    rules.kernel.send(of_table("filter") + generation() + of_table("filter") + generation())
    rules.kernel.send(of_table("theirs") + generation())
    await until(lambda: rules.looked_around > 0)
    assert (rules.looked_around, rules.looks) == (1, 0)
