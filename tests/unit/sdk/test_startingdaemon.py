"""A daemon on its way is waited for: by its lock, and for a moment without one."""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from insula.errors import NobodyListensError
from insula.layout import Layout
from insula.rpc.procedures import Remote
from insula.sdk import blocking, client, startingdaemon
from insula.sdk.startingdaemon import is_locked, pauses
from tests.fakeserver import FakeServer
from tests.unit.sdk.answers import ANSWERS


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.prefix(tmp_path)
    found.run.mkdir(parents=True)
    found.socket.parent.mkdir(parents=True)
    found.lock.touch()
    return found


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def test_a_lock_is_seen_and_not_touched(layout: Layout) -> None:
    assert not is_locked(layout.lock)
    with locked(layout.lock):
        assert is_locked(layout.lock)
    assert not is_locked(layout.lock) and not is_locked(layout.run / "nothing")


def test_who_only_waits_for_a_lock_or_shares_one_is_no_daemon(layout: Layout) -> None:
    with locked(layout.lock, fcntl.LOCK_SH):
        assert not is_locked(layout.lock)


def test_without_a_lock_it_is_a_matter_of_a_moment(layout: Layout) -> None:
    assert next(pauses(layout, unlocked_seconds=1000.0), None) is not None
    assert next(pauses(layout, unlocked_seconds=0.0), None) is None


def test_a_lock_is_waited_for_as_long_as_it_is_held_but_not_for_ever(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(layout.lock):
        waiting = pauses(layout, unlocked_seconds=0.0)
        assert next(waiting) > 0 and next(waiting) > 0
        monkeypatch.setattr(startingdaemon, "LOCKED_SECONDS", 0.0)
        assert next(waiting, None) is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_client_that_comes_before_its_daemon_listens_is_served(layout: Layout, asynchronous: bool) -> None:
    servers: list[FakeServer] = []

    def listen() -> None:
        servers.append(FakeServer(layout.socket, ANSWERS).__enter__())

    async def ask() -> object:
        async with await client.connect(layout) as asking:
            return await asking.call(Remote.CONNECT_GET_HOSTNAME)

    later = Timer(0.2, listen)
    with locked(layout.lock):
        later.start()
        if asynchronous:
            assert asyncio.run(ask()) == "host.example"
        else:
            with blocking.connect(layout) as asking:
                assert asking.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
    later.join()
    servers[0].__exit__(None, None, None)


def test_nobody_who_listens_and_nobody_who_will_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(startingdaemon, "UNLOCKED_SECONDS", 0.0)
    with pytest.raises(NobodyListensError, match="is insulad running"):
        blocking.connect(layout.socket)
