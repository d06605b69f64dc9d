"""Users and groups as the guest's own files name them; read inside, by a parser that expects the worst."""

import errno
import os
from typing import NamedTuple

_FILE_MAX = 16 << 20
"""Bytes read of a guest's file: enough for a million users, and no endless device."""
_ID_MAX = (1 << 32) - 2
"""The highest id. The number above it means "leave it as it is" to setresuid(2): who asks for it would stay root."""
_GROUPS_MAX = 65536
"""Groups a process may have. Source: getgroups(2), NGROUPS_MAX."""


class Account(NamedTuple):
    """Who to become."""

    uid: int
    gid: int
    groups: list[int]
    home: str


def find_account(user: str, group: str | None) -> Account:
    """Return the account of a user's name or number, with a group's name or number instead of the user's own if given.

    A number needs no entry. Raises: OSError(ENOENT) for a name the guest does not know, and a number that is no id.
    """
    entry = _entry("/etc/passwd", user, fields=7)
    uid = _id(entry[2] if entry else user)
    if uid is None:
        raise OSError(errno.ENOENT, f"the guest has no user {user!r}", "/etc/passwd")
    gid = (_id(entry[3]) if entry else None) or 0
    name = entry[0] if entry else None
    if group is not None:
        found = _entry("/etc/group", group, fields=4)
        wanted = _id(found[2] if found else group)
        if wanted is None:
            raise OSError(errno.ENOENT, f"the guest has no group {group!r}", "/etc/group")
        gid = wanted
    return Account(uid, gid, [gid] if name is None else _groups_of(name, gid), entry[5] if entry and entry[5] else "/")


def _id(text: str) -> int | None:
    """Return the id that text stands for, None if it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_ID_MAX)) and int(text) <= _ID_MAX):
        return None
    return int(text)


def _entry(path: str, wanted: str, *, fields: int) -> list[str] | None:
    """Return the first line of that name, else the first of that number; lines without valid ids do not count."""
    by_number = None
    for line in _lines(path):
        entry = line.split(":")
        if len(entry) < fields or _id(entry[2]) is None or (fields > 4 and _id(entry[3]) is None):
            continue
        if entry[0] == wanted:
            return entry
        if by_number is None and entry[2] == wanted:
            by_number = entry
    return by_number


def _groups_of(name: str, gid: int) -> list[int]:
    groups = {gid}
    for line in _lines("/etc/group"):
        entry = line.split(":")
        if len(entry) < 4 or name not in entry[3].split(",") or len(groups) == _GROUPS_MAX:
            continue
        if (number := _id(entry[2])) is not None:
            groups.add(number)
    return sorted(groups)


def _lines(path: str) -> list[str]:
    try:
        # Not blocking: the guest may have put a fifo there.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        return []
    try:
        chunks = []
        left = _FILE_MAX
        while left and (chunk := os.read(fd, min(left, 1 << 16))):
            chunks.append(chunk)
            left -= len(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode(errors="replace").splitlines()
