"""Accounts of running guests: here the guest is a process of the test, whose root is ours."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest

from insula.engine.accounts import Account
from insula.engine.look import accountlook
from insula.engine.look.accountlook import find_directly, find_through, find_with_patience
from insula.engine.look.looking import Looker, Sight
from insula.errors import OperationTimeoutError

SIGHT = Sight(whose="u", name="'web'")


@pytest.fixture
def pidfd() -> Iterator[int]:
    fd = os.pidfd_open(os.getpid())
    yield fd
    os.close(fd)


@pytest.mark.parametrize("find", [find_directly, find_with_patience])
def test_a_number_needs_no_entry(pidfd: int, find: accountlook.AccountFinder) -> None:
    account = asyncio.run(_awaited(find, pidfd, "4000000", "4000001"))
    assert account == Account(4000000, 4000001, [4000001], "/")


@pytest.mark.parametrize("find", [find_directly, find_with_patience])
def test_a_stranger_is_named(pidfd: int, find: accountlook.AccountFinder) -> None:
    with pytest.raises(FileNotFoundError, match="no user 'nobody-of-that-name'"):
        asyncio.run(_awaited(find, pidfd, "nobody-of-that-name", None))


@pytest.mark.requires("root")
def test_the_looker_finds_the_same(pidfd: int) -> None:
    async def look() -> Account:
        looker = Looker()
        try:
            return await _awaited(find_through(looker), pidfd, "root", None)
        finally:
            await looker.close()

    assert asyncio.run(look()) == asyncio.run(_awaited(find_directly, pidfd, "root", None))


def test_a_guest_that_does_not_answer_is_not_waited_for(pidfd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(accountlook, "PATIENCE", 0.05)
    monkeypatch.setattr(accountlook, "account_inside", lambda *_: answer.wait(60))
    began = time.monotonic()
    with pytest.raises(OperationTimeoutError, match="the file system of 'web' does not answer"):
        asyncio.run(_awaited(find_with_patience, pidfd, "root", None))
    answer.set()
    assert time.monotonic() - began < 60


async def _awaited(find: accountlook.AccountFinder, pidfd: int, user: str, group: str | None) -> Account:
    return await find(SIGHT, os.getpid(), pidfd, user, group)
