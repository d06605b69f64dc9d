"""Looks that say who may log in to a guest: a user's password, and whose ssh keys let in.

The files are the image's, or the guest's own; a guest that runs is visited, so that nothing is done there that its root
could not do. Paths are looked up from the guest's root, which no link
leads out of (`CONTAINED`); the file itself is never a link. A new one takes its place at once, whole, with the owner
and the mode that the former had, so that a death leaves one of the two.

    set-password     user, hash, ids           ; root → nothing
    read-keys        user, ids                 ; root → the lines of the file, none if there is none
    write-keys       user, lines, ids          ; root → nothing
    set-password-inside, read-keys-inside, write-keys-inside: the same; what `visit` takes, in place of root

ids: None where files bear the ids that the guest sees, else lists of inside, outside, count, for `uids` and `gids`.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from insula.engine.accounts import Account, find_account, lines_below
from insula.engine.look.regularfile import open_regular
from insula.engine.look.visit import visit
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd

_MOST = 16 << 20
"""Bytes of a file that are read: enough for a million users."""
_DAY = 86400
_ELSEWHERE = b"x"
"""What stands for a password that is in the shadow file. Source: passwd(5)."""
_LOCK = ".pwd.lock"
_LOCK_PATIENCE = 10.0
_LOCK_PAUSE = 0.05
_NEW = ".insula-new"
_KEYS = "authorized_keys"


def set_password(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> None:
    """Make a hash the password of a user, who is there."""
    user, value, root = arguments["user"], arguments["hash"].encode(), _root(arguments, fds)
    with _directory(root, "etc") as etc, nullcontext() if "root" in fds else _accounts_locked(etc):
        account = find_account(lines_below(root), user, None)
        name = (account.name or user).encode()
        passwd, shadow = _read(etc, "passwd"), None
        with suppress(FileNotFoundError):
            shadow = _read(etc, "shadow")
        if shadow is not None and _field(passwd, name) == _ELSEWHERE:
            today = b"%d" % (time.time() // _DAY)
            _replace(etc, "shadow", _with_shadow(shadow, name, value, today), _like(etc, "shadow"))
        else:
            _replace(etc, "passwd", _with_field(passwd, name, value), _like(etc, "passwd"))


def read_keys(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> list[str]:
    """Return the lines of who may log in as a user by ssh."""
    root = _root(arguments, fds)
    account = find_account(lines_below(root), arguments["user"], None)
    try:
        with _directory(root, f"{account.home}/.ssh") as directory:
            return _read(directory, _KEYS).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def write_keys(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> None:
    """Let lines be all who may log in as a user by ssh; directories that are missing are made, the user's own."""
    root = _root(arguments, fds)
    account = find_account(lines_below(root), arguments["user"], None)
    owner = _outside(arguments["ids"], account)
    content = "".join(f"{each}\n" for each in arguments["lines"]).encode()
    with _directory(root, os.path.dirname(account.home.rstrip("/")) or "/") as above:
        _made(above, os.path.basename(account.home.rstrip("/")), owner)
    with _directory(root, account.home) as home:
        _made(home, ".ssh", owner)
        with _entered(home, ".ssh") as directory:
            try:
                kept = _like(directory, _KEYS)
            except FileNotFoundError:
                kept = (0o600, *owner)
            _replace(directory, _KEYS, content, kept)


def _root(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
    return fds["root"] if "root" in fds else visit(arguments, fds)


@contextmanager
def _accounts_locked(etc: Fd) -> Iterator[None]:
    """Keep the guest's own programs from changing accounts meanwhile. Source: lckpwdf(3)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock = os.open(_LOCK, flags, 0o600, dir_fd=etc)
    try:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, "a program of the guest's is changing its accounts: try again")
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # as POSIX has it, either
        return False
    return True


Kept = tuple[int, int, int]
"""Mode, and the host's ids of the owner."""


@contextmanager
def _directory(root: Fd, path: str) -> Iterator[Fd]:
    found = open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=CONTAINED)
    try:
        yield found
    finally:
        os.close(found)


@contextmanager
def _entered(directory: Fd, name: str) -> Iterator[Fd]:
    """A directory that is no link."""
    found = open_beneath(directory, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield found
    finally:
        os.close(found)


def _made(directory: Fd, name: str, owner: tuple[int, int]) -> None:
    if not name:
        return  # the user's home is /
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        return
    os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)


def _read(directory: Fd, name: str) -> bytes:
    with open(open_regular(directory, name), "rb") as file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, f"'{name}' has more than {_MOST} bytes")
    return content


def _like(directory: Fd, name: str) -> Kept:
    file = open_regular(directory, name)
    try:
        found = os.fstat(file)
        return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    finally:
        os.close(file)


def _replace(directory: Fd, name: str, content: bytes, kept: Kept) -> None:
    new = f"{name}{_NEW}"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=directory)  # of one that was killed
    mode, uid, gid = kept
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(new, flags, 0o600, dir_fd=directory), "wb") as file:
        file.write(content)
        file.flush()
        os.fchown(file.fileno(), uid, gid)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _field(content: bytes, name: bytes) -> bytes | None:
    """The second field of a user's line."""
    return next((line.split(b":")[1] for line in content.split(b"\n") if _is_of(line, name)), None)


def _is_of(line: bytes, name: bytes) -> bool:
    return line.startswith(name + b":") and line.count(b":") >= 2


def _with_field(content: bytes, name: bytes, value: bytes) -> bytes:
    lines = content.split(b"\n")
    for place, line in enumerate(lines):
        if _is_of(line, name):
            fields = line.split(b":")
            lines[place] = b":".join([fields[0], value, *fields[2:]])
            return b"\n".join(lines)
    raise OSError(errno.ENOENT, f"the guest has no user {name.decode(errors='replace')!r}")


def _with_shadow(content: bytes, name: bytes, value: bytes, today: bytes) -> bytes:
    """Source: shadow(5): the second field is the hash, the third the day of its last change."""
    lines = content.split(b"\n")
    for place, line in enumerate(lines):
        if _is_of(line, name):
            fields = line.split(b":")
            lines[place] = b":".join([fields[0], value, today, *fields[3:]])
            return b"\n".join(lines)
    end = b"" if not content or content.endswith(b"\n") else b"\n"
    return content + end + b":".join([name, value, today, b"0", b"99999", b"7", b"", b"", b""]) + b"\n"


def _outside(ids: Mapping[str, Any] | None, account: Account) -> tuple[int, int]:
    """The ids that a user's files bear on the host."""
    if ids is None:
        return account.uid, account.gid
    return _shifted(ids["uids"], account.uid), _shifted(ids["gids"], account.gid)


def _shifted(ranges: Sequence[Sequence[int]], number: int) -> int:
    for inside, outside, count in ranges:
        if inside <= number < inside + count:
            return outside + number - inside
    raise OSError(errno.EOVERFLOW, f"the domain's id map has no {number}")
