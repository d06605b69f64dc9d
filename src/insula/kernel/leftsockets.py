"""Files of sockets: those that a killed process left are in the next one's way, and others are others'."""

import errno
import os
import socket
import stat
import struct
from contextlib import suppress

_CREDENTIALS = struct.Struct("3i")

FileId = tuple[int, int]
"""Which file it is, by device and inode."""


def remove_left_socket(path: str | os.PathLike[str]) -> bool:
    """Remove a socket that nobody listens at any more; return whether somebody listens, though maybe accepts nobody.

    A file that is no socket stays. connect(2) is refused there as it is at a socket that was left. A child that
    outlives a killed process may hold its socket for a while: only who began to listen counts. Raises: OSError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                return False
            probe.connect(os.fspath(path))
            if _listener_lives(probe):
                return True
        except FileNotFoundError:
            return False
        except BlockingIOError:  # as many wait there as may: unix(7)
            return True
        except ConnectionRefusedError:
            pass
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            return True  # it is a living one of another kind
    os.unlink(path)
    return False


def _listener_lives(connected: socket.socket) -> bool:
    """Whether the process lives that called listen(2), as far as it can be told: 0 is one of another PID namespace."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(raw)
    if pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def file_at(path: str | os.PathLike[str]) -> FileId | None:
    """Return which file is at a path, None if there is none that can be seen."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove_own(path: str | os.PathLike[str], made: FileId | None) -> None:
    """Remove what we made at a path, unless another file is there by now."""
    if made is not None and made == file_at(path):
        with suppress(OSError):
            os.unlink(path)


def bind_for_owner(unbound: socket.socket, path: str | os.PathLike[str]) -> None:
    """Bind a socket at a path, for its owner alone from the first moment. Raises: OSError.

    Source: Linux's unix_bind(), which gives the file the socket's mode; to change that of a path afterwards may meet
    another file.
    """
    os.fchmod(unbound.fileno(), 0o600)
    unbound.bind(os.fspath(path))
