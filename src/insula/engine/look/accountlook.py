"""Finding out who a user of a running guest's is: its files are looked at, so nobody who is needed waits for that."""

import threading
from collections.abc import Awaitable, Callable

from insula.engine.accounts import Account
from insula.engine.look.looking import PATIENCE, Looker, Sight
from insula.engine.look.looks import account_inside

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


def find_through(looker: Looker) -> AccountFinder:
    """Return what looks by the looker's hand."""

    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        arguments = {"pid": pid, "user": user, "group": group}
        uid, gid, groups, home = await looker.look(sight, "find-account", arguments, {"init": pidfd})
        return Account(uid, gid, groups, home)

    return find
