"""Acting for a moment as other ids while keeping every capability."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from insula.kernel.privileges import use_what_is_permitted
from insula.kernel.syscall import libc


@libc("setfsuid")
def _setfsuid(uid: int) -> int:
    raise NotImplementedError


@libc("setfsgid")
def _setfsgid(gid: int) -> int:
    raise NotImplementedError


@contextmanager
def acting_as_owner(uid: int, gid: int) -> Iterator[None]:
    """Have these effective ids within the block, so that a user namespace made there belongs to them.

    Changing the effective uid from 0 drops the effective capabilities; they are taken back from the permitted ones,
    which stay as the real uid stays 0 (capabilities(7)), because clone3 with a group or a pid of choice needs them.
    """
    os.setegid(gid)
    try:
        os.seteuid(uid)
        try:
            use_what_is_permitted()
            yield
        finally:
            os.seteuid(0)
    finally:
        os.setegid(0)


@contextmanager
def acting_on_files_as(uid: int, gid: int) -> Iterator[None]:
    """Have these file-system ids within the block, in this thread only: whatever is made on disk belongs to them."""
    former_gid = _setfsgid(gid)
    former_uid = _setfsuid(uid)
    try:
        use_what_is_permitted()
        yield
    finally:
        _setfsuid(former_uid)
        _setfsgid(former_gid)
