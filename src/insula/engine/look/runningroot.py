"""The root of a running guest, by its init, and its users: for processes of ours that may wait for a guest."""

import errno
import os

from insula.engine.accounts import Account, find_account, lines_below
from insula.kernel.fds import Fd
from insula.kernel.process import has_ended


def open_root(pid: int, pidfd: int) -> Fd:
    """Return an O_PATH fd of a guest's root, by its init. Raises: OSError(ESRCH) if that is gone."""
    gone = ProcessLookupError(errno.ESRCH, "the guest has ended")
    try:
        root = Fd(os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError:
        raise gone from None  # a zombie has no root either
    try:
        # Init is still there, so its pid was nobody else's when the root was opened.
        if has_ended(pidfd):
            raise gone
    except BaseException:
        os.close(root)
        raise
    return root


def account_inside(pid: int, pidfd: int, user: str, group: str | None) -> Account:
    """Return the account of a user of a guest's. Raises: as open_root and `accounts.find_account`."""
    root = open_root(pid, pidfd)
    try:
        return find_account(lines_below(root), user, group)
    finally:
        os.close(root)
