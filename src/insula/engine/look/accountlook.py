"""Finding out who a user of a running guest's is: its files are looked at, so nobody who is needed waits for that."""

import errno
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable

from insula.engine.accounts import Account, find_account
from insula.engine.look.looking import PATIENCE, Looker, Sight
from insula.engine.look.looks import account_inside, open_root
from insula.kernel.beneath import open_known
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
        before = _stamps(pid, pidfd)
        found = known.get(key)
        if found is not None and before is not None and found[0] == before:
            known.move_to_end(key)
            return found[1]
        account = _read_at_once(sight, pid, pidfd, user, group)
        if account is None:
            account = await find(sight, pid, pidfd, user, group)
        if before is not None and before == _stamps(pid, pidfd) and _are_settled(before):
            known[key] = before, account
            if len(known) > _REMEMBERED_MAX:
                known.popitem(last=False)
        return account

    return remember


def _read_at_once(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account | None:
    """Return the account, None if it cannot be known without waiting. Raises: OSError(ENOENT) as `AccountFinder`."""
    mount = sight.mount
    if mount is None:
        return None

    def lines(path: str) -> Iterable[str]:
        try:
            fd = open_known(root, path)
        except FileNotFoundError:
            return ()
        try:
            return read_known(fd, mount, _READ_MAX).decode(errors="replace").split("\n")
        finally:
            os.close(fd)

    try:
        root = open_root(pid, pidfd)
    except OSError:
        return None
    try:
        return find_account(lines, user, group)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise
        return None
    finally:
        os.close(root)


Stamps = tuple[Stamp | None, ...]
"""Of the files that name users and groups; None for one that is missing."""


def _stamps(pid: int, pidfd: int) -> Stamps | None:
    """Return the stamps of a guest's files, None if they are not known without asking a file system."""
    try:
        root = open_root(pid, pidfd)
    except OSError:
        return None
    try:
        return tuple(_stamp(root, path) for path in ("/etc/passwd", "/etc/group"))
    except OSError:
        return None
    finally:
        os.close(root)


def _stamp(root: int, path: str) -> Stamp | None:
    try:
        fd = open_known(root, path)
    except FileNotFoundError:
        return None
    try:
        return cached_stamp_of(fd)
    finally:
        os.close(fd)


def _are_settled(stamps: Stamps) -> bool:
    now = time.time_ns()
    return all(each is None or each.changed < now - _SETTLED for each in stamps)


def find_through(looker: Looker) -> AccountFinder:
    """Return what looks by the looker's hand."""

    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        arguments = {"pid": pid, "user": user, "group": group}
        uid, gid, groups, home = await looker.look(sight, "find-account", arguments, {"init": pidfd})
        return Account(uid, gid, groups, home)

    return find
