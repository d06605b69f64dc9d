"""Which of the calls that failed a command failed by, as far as a trace can tell: the last that counted.

Programs try much that they can do without. What counts is the last refusal in a process that then failed itself, and
before that nothing for which C libraries and programs have another way.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from insula.engine.explain.callsignatures import words
from insula.engine.explain.refusedcall import RefusedCall

_OTHER_WAY = words("""
    clone3 statx faccessat2 fchmodat2 openat2 close_range rseq copy_file_range getrandom membarrier pidfd_open
    io_uring_setup landlock_create_ruleset set_robust_list memfd_create renameat2 epoll_pwait2 fsopen open_tree
    mount_setattr statmount listmount process_madvise futex_waitv map_shadow_stack cachestat
    """)
"""Calls that are younger than the programs that try them first."""


def ended_well(status: int | None) -> bool:
    """Whether a process ended with exit status 0, by its wait status."""
    return status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def weighed(calls: Sequence[RefusedCall], ends: Mapping[int, int], status: int | None) -> tuple[RefusedCall, ...]:
    """Return the calls, with the one marked that the command failed by; none if it did not fail.

    ends: wait statuses of processes, by the guest's pids; status: that of the command itself, None if not known.
    """
    if ended_well(status):
        return tuple(calls)
    failed = [each for each in calls if each.caller.pid not in ends or not ended_well(ends[each.caller.pid])]
    telling = [each for each in failed if _counts(each)]
    chosen = max(telling or failed, key=lambda each: each.order, default=None)
    return tuple(replace(each, mattered=each is chosen) for each in calls)


def _counts(call: RefusedCall) -> bool:
    if call.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
        return call.name not in _OTHER_WAY
    return call.errno != errno.ENOENT
