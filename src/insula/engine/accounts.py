"""Users and groups as the guest's own files name them; read below its root, by a parser that expects the worst.

A running guest's are read by a look only (`engine.look`): its file systems may wait without end.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd, memory_file

_FILE_MAX = 16 << 20
"""Bytes read of a guest's file: enough for a million users, and no endless device."""
_ID_MAX = (1 << 32) - 2
"""The highest id. The number above it means "leave it as it is" to setresuid(2): who asks for it would stay root."""
GROUPS_MAX = 65536
"""Groups a process may have. Source: getgroups(2), NGROUPS_MAX."""
_NAME_MAX = 256
"""Bytes of a user's name. Source: LOGIN_NAME_MAX in limits.h."""
_HOME_MAX = 4096
"""Bytes of a home: no path is longer. Source: PATH_MAX in linux/limits.h."""

UID_OFFSET, GID_OFFSET, COUNT_OFFSET, HOME_OFFSET = 0, 4, 8, 16
"""Where a program finds what in the file of `account_file`."""
GROUPS_OFFSET = HOME_OFFSET + len("HOME=") + _HOME_MAX + 11
_HEADER = struct.Struct("<III")


class Account(NamedTuple):
    """Who to become. name, shell: as the guest has them, empty if it has none that could be told to a program."""

    uid: int
    gid: int
    groups: list[int]
    home: str
    name: str = ""
    shell: str = ""


Lines = Callable[[str], Iterable[str]]
"""Returns the lines of a file of the guest's, none of one that is missing; they are read as they are asked for."""


def find_account(lines: Lines, user: str, group: str | None) -> Account:
    """Return the account of a user's name or number, with a group's name or number instead of the user's own if given.

    A number is an id, whatever names the guest has, and needs no entry. Raises: OSError(ENOENT) for a name that the
    guest does not know, and a number that is no id.
    """
    entry = _entry(lines("/etc/passwd"), user, fields=7)
    uid = _id(entry[2] if entry else user)
    if uid is None:
        raise OSError(errno.ENOENT, f"the guest has no user {user!r}", "/etc/passwd")
    gid = (_id(entry[3]) if entry else None) or 0
    name = entry[0] if entry else None
    if group is not None:
        found = _entry(lines("/etc/group"), group, fields=4)
        wanted = _id(found[2] if found else group)
        if wanted is None:
            raise OSError(errno.ENOENT, f"the guest has no group {group!r}", "/etc/group")
        gid = wanted
    groups = [gid] if name is None else _groups_of(lines("/etc/group"), name, gid)
    if entry is None:
        return Account(uid, gid, groups, "/")
    home, shell = _told(entry[5], _HOME_MAX), _told(entry[6], _HOME_MAX)
    return Account(uid, gid, groups, home or "/", _told(entry[0], _NAME_MAX), shell)


def find_group(lines: Iterable[str], names: Iterable[str]) -> int | None:
    """Return the id of the first of these groups that a group file has, None if it has none. lines: of /etc/group."""
    wanted = tuple(names)
    found: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        if name in wanted and name not in found and rest.count(":") >= 2:
            number = _id(rest.split(":")[1])
            if number is not None:
                found[name] = number
    return next((found[name] for name in wanted if name in found), None)


def _told(field: str, most: int) -> str:
    """Return a field as a program can be told it; empty if it is too long for what it is, or holds a zero."""
    return "" if "\0" in field or len(os.fsencode(field)) >= most else field


def account_file(account: Account, most_groups: int) -> Fd:
    """Return a file from which a program learns who to become; the caller closes it. Otherwise as `account_content`."""
    file = memory_file("insula-account", _content(account, most_groups))
    os.ftruncate(file, account_size(most_groups))
    return file


def account_content(account: Account, most_groups: int) -> bytes:
    """Return from what a program learns who to become, as a file.

    most_groups: how many the program has room for. Raises: OSError(E2BIG) for an account with more.
    """
    return _content(account, most_groups).ljust(account_size(most_groups), b"\0")


def _content(account: Account, most_groups: int) -> bytes:
    if len(account.groups) > most_groups:
        raise OSError(errno.E2BIG, f"the user has more groups than {most_groups}")
    home = os.fsencode(_told(account.home, _HOME_MAX) or "/")
    content = _HEADER.pack(account.uid, account.gid, len(account.groups)).ljust(HOME_OFFSET, b"\0")
    content = (content + b"HOME=" + home).ljust(GROUPS_OFFSET, b"\0")
    return content + struct.pack(f"<{len(account.groups)}I", *account.groups)


def account_size(most_groups: int) -> int:
    """Return how long such a file is, in bytes."""
    return GROUPS_OFFSET + 4 * most_groups


def _id(text: str) -> int | None:
    """Return the id that text stands for, None if it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_ID_MAX)) and int(text) <= _ID_MAX):
        return None
    return int(text)


def _entry(lines: Iterable[str], wanted: str, *, fields: int) -> list[str] | None:
    """Return the first line of that name, or of that number; lines without valid ids do not count.

    A number is never looked up as a name: a guest's user `1000` with the id 0 would be root where 1000 is asked for.
    """
    column = 0 if _id(wanted) is None else 2
    for line in lines:
        if wanted not in line:
            continue  # looked at first: a file of the guest's may have millions of lines
        entry = line.split(":")
        if len(entry) < fields or _id(entry[2]) is None or (fields > 4 and _id(entry[3]) is None):
            continue
        if entry[column] == wanted:
            return entry
    return None


def _groups_of(lines: Iterable[str], name: str, gid: int) -> list[int]:
    groups = {gid}
    for line in lines:
        if name not in line:
            continue
        entry = line.split(":")
        if len(entry) < 4 or name not in entry[3].split(",") or len(groups) == GROUPS_MAX:
            continue
        if (number := _id(entry[2])) is not None:
            groups.add(number)
    return sorted(groups)


def lines_below(root: int) -> Lines:
    """Return what reads files below a root, as the guest itself would find them: its links count, inside."""

    def lines(path: str) -> Iterator[str]:
        try:
            found = open_beneath(root, path, os.O_PATH, resolve=CONTAINED)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), path) from error
        try:
            yield from lines_of(found, path)
        finally:
            os.close(found)

    return lines


def lines_of(found: int, path: str) -> Iterator[str]:
    """Yield the lines of an open file; path: what errors call it. Raises: OSError(EISDIR).

    No more of it is in memory than a line: of what a guest has written, that is enough. Only a line feed ends one, as
    in the guest: what else Python takes for an end may stand in a field that a user fills.
    """
    kind = stat.S_IFMT(os.fstat(found).st_mode)
    if kind == stat.S_IFDIR:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if kind != stat.S_IFREG:
        return  # whatever the guest has put there: to open a device does something already
    # Not blocking: whoever holds a lease on it would make us wait (fcntl(2), "Leases").
    fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(fd, "rb") as file:
        left = _FILE_MAX
        while left and (line := file.readline(left)):
            left -= len(line)
            yield line.rstrip(b"\n").decode(errors="replace")
