"""Closing what may keep who closes it: by a process of a moment that has the keeper's very table of descriptors.

Who closes a socket that lingers, a terminal that drains, or a file whose server is a guest's (FUSE), waits for it,
though others have it open too. The kernel takes a descriptor out of the table before it waits. So a child that shares
the table with the keeper closes it: for the keeper it is gone, whenever the child is done. What waits for more than a
second and can be interrupted is. The child ends with the keeper, so that the keeper's sockets end then.

Only a file of FUSE's cannot be interrupted: its child stays until the guest, whose the server is, has ended.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from insula.kernel.process import CloneFlag, clone, die_with_parent, set_name

_PATIENCE = 1.0
"""Seconds after which a close is interrupted."""
_NAME = "insula-closing"


def close_aside(fds: Sequence[int]) -> None:
    """Have descriptors closed by a child, whom the keeper reaps as any; they must not be touched any more.

    Where none can be had they stay open.
    """
    if not fds:
        return
    with suppress(OSError):
        keeper = os.getpid()
        pid, pidfd = clone(CloneFlag.FILES)
        if pid == 0:
            _close(fds, keeper)
        os.close(pidfd)


def _close(fds: Sequence[int], keeper: int) -> NoReturn:
    """In the child: close one after another, each for so long as it may take."""
    try:
        # To be told to end, as all of a scope are, means nothing here: what is left undone stays open for good.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        set_name(_NAME)
        die_with_parent(keeper)
        signal.signal(signal.SIGALRM, _interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE, _PATIENCE)
        for fd in fds:
            with suppress(OSError):
                os.close(fd)
    finally:
        os._exit(0)


def _interrupt(_number: int, _frame: object) -> None:
    """A handler, without which the signal would end the child."""
