"""Who is at the other end of a UNIX socket, and whether they may come in."""

import grp
import os
import socket
import stat
import struct
from dataclasses import dataclass

from insula.daemon.config import SocketSettings
from insula.errors import ConfigurationError

_SO_PEERGROUPS = 59
"""The peer's supplementary groups: unix(7), since Linux 4.13."""
_NGROUPS_MAX = 65536


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A process as the kernel vouches for it at the moment it connected."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"pid={self.pid} uid={self.uid}"


def peer_of(connection: socket.socket) -> Peer:
    """Return who connected. Source: unix(7), SO_PEERCRED and SO_PEERGROUPS."""
    credentials = struct.Struct("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    pid, uid, gid = credentials.unpack(raw)
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _NGROUPS_MAX)
        groups = frozenset(struct.unpack(f"{len(raw) // 4}I", raw))
    except OSError:
        groups = frozenset()
    return Peer(pid=pid, uid=uid, gid=gid, groups=groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Who may use a socket: root, this daemon's own user, the group's members, everybody if its mode says so."""

    gid: int | None
    everybody: bool

    def permits(self, peer: Peer) -> bool:
        """Whether the peer may come in."""
        member = self.gid is not None and (peer.gid == self.gid or self.gid in peer.groups)
        return peer.uid in (0, os.geteuid()) or member or self.everybody


def admission_of(settings: SocketSettings) -> Admission:
    """Return who may use a socket that we make.

    Raises: ConfigurationError if its group does not exist and must.
    """
    return Admission(gid=group_of(settings), everybody=bool(settings.mode & stat.S_IWOTH))


def group_of(settings: SocketSettings) -> int | None:
    """Return the socket's group id, None to leave it to root's own.

    Raises: ConfigurationError if the group does not exist and must.
    """
    if settings.group is None:
        return None
    try:
        return grp.getgrnam(settings.group).gr_gid
    except KeyError as error:
        if settings.group_optional:
            return None
        raise ConfigurationError(
            f"the group '{settings.group}' of the socket {settings.path} does not exist: create it, or name another"
        ) from error
