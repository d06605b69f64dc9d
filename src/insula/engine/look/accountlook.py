"""Finding out who a user of a running guest's is: its files are looked at, so nobody who is needed waits for that."""

import errno
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from typing import Self

from insula.engine.accounts import Account, find_account
from insula.engine.look.looking import PATIENCE, Looker, Sight
from insula.engine.look.runningroot import account_inside, open_root
from insula.kernel.beneath import open_known
from insula.kernel.fds import Fd, close_all
from insula.kernel.localfiles import read_known
from insula.kernel.statx import Stamp, cached_stamp_of

AccountFinder = Callable[[Sight, int, int, str, str | None], Awaitable[Account]]
"""Returns the account of a user and a group, if one is given, of the guest whose init has that pid and pidfd.

Raises: OSError, ENOENT for one that the guest does not know; OperationTimeoutError if the guest does not answer.
"""


async def find_directly(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
    """Look right here; for guests that are trusted."""
    return account_inside(pid, pidfd, user, group)


async def find_with_patience(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
    """Look in a thread that is left behind if the guest does not answer; it ends with the guest."""
    found: list[Account] = []
    failures: list[BaseException] = []

    def look() -> None:
        try:
            found.append(account_inside(pid, pidfd, user, group))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=look, name="insula-account", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if failures:
        raise failures[0]
    if not found:
        raise sight.no_answer()
    return found[0]


_SETTLED = 1_000_000_000
"""Nanoseconds: a file that was changed later than that before it was read may have been changed again since, unseen."""
_REMEMBERED_MAX = 256


_READ_MAX = 64 * 1024
"""Bytes of a file that are read at once; a larger one is looked at."""


def remembering(find: AccountFinder) -> AccountFinder:
    """Return what does not look where the kernel's own memory says all: that never waits for a guest.

    There the guest's files are known to be as they were, or are read at once, if they lie on the disk that the host
    gave it. What the kernel does not know is looked at.
    """
    known: OrderedDict[Hashable, tuple[Stamps, Account]] = OrderedDict()

    async def remember(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        key = (sight.whose, pid, user, group)
        account = None
        with _KnownFiles(pid, pidfd) as files:
            before = files.stamps()
            found = known.get(key)
            if found is not None and before is not None and found[0] == before:
                known.move_to_end(key)
                return found[1]
            if sight.mount is not None:
                account = files.read(sight.mount, user, group)
                after = files.stamps()
        if account is None:
            account = await find(sight, pid, pidfd, user, group)
            with _KnownFiles(pid, pidfd) as files:
                after = files.stamps()
        if before is not None and before == after and _are_settled(before):
            known[key] = before, account
            if len(known) > _REMEMBERED_MAX:
                known.popitem(last=False)
        return account

    return remember


Stamps = tuple[Stamp | None, ...]
"""Of the files that name users and groups; None for one that is missing."""
_FILES = ("/etc/passwd", "/etc/group")


class _KnownFiles:
    """The files that name a guest's users, as far as the kernel knows the way to them."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self._fds: dict[str, Fd | None] = {}
        """None for one that is missing."""
        with suppress(OSError):  # what is not known is not here
            root = open_root(pid, pidfd)
            try:
                for path in _FILES:
                    try:
                        self._fds[path] = open_known(root, path)
                    except FileNotFoundError:
                        self._fds[path] = None
            finally:
                os.close(root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        close_all(fd for fd in self._fds.values() if fd is not None)

    def stamps(self) -> Stamps | None:
        """Return their stamps, None if they are not known without asking a file system."""
        if len(self._fds) < len(_FILES):
            return None
        try:
            return tuple(None if fd is None else cached_stamp_of(fd) for fd in self._fds.values())
        except OSError:
            return None

    def read(self, mount: int, user: str, group: str | None) -> Account | None:
        """Return a user's account, None if it cannot be known without waiting. Raises: OSError(ENOENT) for none."""

        def lines(path: str) -> Iterable[str]:
            fd = self._fds[path]
            return () if fd is None else read_known(fd, mount, _READ_MAX).decode(errors="replace").split("\n")

        try:
            return find_account(lines, user, group)
        except KeyError:
            return None
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise
            return None


def _are_settled(stamps: Stamps) -> bool:
    now = time.time_ns()
    return all(each is None or each.changed < now - _SETTLED for each in stamps)


def find_through(looker: Looker) -> AccountFinder:
    """Return what looks by the looker's hand."""

    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        arguments = {"pid": pid, "user": user, "group": group}
        return Account(*await looker.look(sight, "find-account", arguments, {"init": pidfd}))

    return find
