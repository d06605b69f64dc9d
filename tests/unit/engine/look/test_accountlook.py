"""Accounts of running guests: here the guest is a process of the test, whose root is ours."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.accounts import Account
from insula.engine.look import accountlook
from insula.engine.look.accountlook import find_directly, find_through, find_with_patience
from insula.engine.look.looking import Looker, Sight
from insula.errors import OperationTimeoutError
from insula.kernel.statx import unique_mount_of
from tests.waiting import patience, scaled

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
    monkeypatch.setattr(accountlook, "account_inside", lambda *_: answer.wait(patience(60)))
    began = time.monotonic()
    with pytest.raises(OperationTimeoutError, match="the file system of 'web' does not answer"):
        asyncio.run(_awaited(find_with_patience, pidfd, "root", None))
    answer.set()
    assert time.monotonic() - began < scaled(60)


async def _awaited(find: accountlook.AccountFinder, pidfd: int, user: str, group: str | None) -> Account:
    return await find(SIGHT, os.getpid(), pidfd, user, group)


class _Guest:
    """A process whose root is a directory, and what looks into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sight = SIGHT
        self.looks = 0
        (root / "etc").mkdir()
        (root / "etc/group").write_text("root:x:0:\n")
        self.write("root:x:0:0::/root:/bin/sh\n")
        reader, writer = os.pipe()
        ready, is_ready = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(writer)
            os.chroot(root)
            os.write(is_ready, b".")
            os.read(reader, 1)
            os._exit(0)
        os.read(ready, 1)
        self.pidfd = os.pidfd_open(self.pid)
        self._fds = [reader, writer, ready, is_ready, self.pidfd]
        self.find = accountlook.remembering(self._look)

    async def _look(self, sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        self.looks += 1
        return await find_directly(sight, pid, pidfd, user, group)

    def write(self, passwd: str) -> None:
        path = self.root / "etc/passwd"
        path.write_text(passwd)
        path.read_text()

    def home(self) -> str:
        return asyncio.run(self._home())

    async def _home(self) -> str:
        return (await self.find(self.sight, self.pid, self.pidfd, "root", None)).home

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Guest]:
    monkeypatch.setattr(accountlook, "_SETTLED", 0)
    made = _Guest(tmp_path)
    yield made
    made.close()


@pytest.mark.requires("root")
def test_files_that_are_the_same_are_not_looked_at_again_and_changed_ones_are(guest: _Guest) -> None:
    assert [guest.home() for _ in range(3)] == ["/root"] * 3
    assert guest.looks == 1
    guest.write("root:x:0:0::/home:/bin/sh\n")
    assert [guest.home() for _ in range(3)] == ["/home"] * 3
    assert guest.looks == 2
    (guest.root / "etc/group").write_text("root:x:0:\nadm:x:4:root\n")
    guest.home()
    assert guest.looks == 3


@pytest.mark.requires("root")
def test_files_that_were_changed_just_now_are_looked_at_again(guest: _Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accountlook, "_SETTLED", 10**18)
    assert [guest.home() for _ in range(3)] == ["/root"] * 3
    assert guest.looks == 3


@pytest.mark.requires("root")
def test_what_the_kernel_does_not_know_is_looked_at_again(guest: _Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.home()

    def unknown(root: int, path: str) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(accountlook, "open_known", unknown)
    guest.home()
    assert guest.looks == 2


@pytest.fixture
def given(guest: _Guest, monkeypatch: pytest.MonkeyPatch) -> _Guest:
    """One whose root is on a disk that the host gave it."""
    fd = os.open(guest.root, os.O_PATH)
    mount = unique_mount_of(fd)
    os.close(fd)
    guest.sight = replace(SIGHT, mount=mount)
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset, flags: preadv(fd, buffers, offset))
    return guest


@pytest.mark.requires("root")
def test_files_on_the_disk_that_a_guest_was_given_are_read_without_a_look(given: _Guest) -> None:
    assert [given.home() for _ in range(2)] == ["/root"] * 2
    given.write("root:x:0:0::/home:/bin/sh\n")
    (given.root / "etc/group").unlink()
    assert (given.home(), given.looks) == ("/home", 0)
    given.write("toor:x:0:0::/home:/bin/sh\n")
    with pytest.raises(FileNotFoundError):
        given.home()


@pytest.mark.requires("root")
def test_files_on_another_mount_are_looked_at(given: _Guest) -> None:
    given.sight = replace(given.sight, mount=(given.sight.mount or 0) + 1)
    assert (given.home(), given.looks) == ("/root", 1)


@pytest.mark.requires("root")
def test_what_cannot_be_read_at_once_is_looked_at(given: _Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(fd: int, buffers: object, offset: int, flags: int) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "preadv", waits)
    assert (given.home(), given.looks) == ("/root", 1)
