"""Landlock: what a process gives up for itself and all that comes from it. Sources: landlock(7), linux/landlock.h."""

import ctypes
import os
import struct
from enum import IntFlag

from insula.kernel.fds import Fd
from insula.kernel.syscall import syscall


class LandlockScope(IntFlag):
    """What is out of reach beyond the processes that gave it up together (LANDLOCK_SCOPE_…), since Linux 6.12."""

    ABSTRACT_UNIX_SOCKET = 1


_TELL_VERSION = 1
_FIRST_WITH_SCOPES = 6
_RULESET = struct.Struct("=QQQ")
"""struct landlock_ruleset_attr: accesses to files, to the network, scopes."""


@syscall(444)
def _create_ruleset(attributes: int, size: int, flags: int) -> int:
    raise NotImplementedError


@syscall(446)
def _restrict_self(rules: int, flags: int) -> int:
    raise NotImplementedError


def ruleset(scopes: LandlockScope) -> bytes:
    """Return the attributes of a ruleset that gives up scopes, and nothing else."""
    return _RULESET.pack(0, 0, scopes)


def give_up(scopes: LandlockScope) -> None:
    """Give up scopes, for this thread and all that comes from it. Raises: OSError; EPERM without CAP_SYS_ADMIN."""
    attributes = ctypes.create_string_buffer(ruleset(scopes), _RULESET.size)
    rules = Fd(_create_ruleset(ctypes.addressof(attributes), _RULESET.size, 0))
    try:
        _restrict_self(rules, 0)
    finally:
        os.close(rules)


def scopes_sockets() -> bool:
    """Whether this kernel can keep processes from the abstract sockets of others."""
    try:
        return _create_ruleset(0, 0, _TELL_VERSION) >= _FIRST_WITH_SCOPES
    except OSError:
        return False
