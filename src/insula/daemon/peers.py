"""Who is at the other end of a UNIX socket, and whether they may come in."""

import errno
import grp
import ipaddress
import os
import socket
import stat
import struct
from dataclasses import dataclass

from insula.daemon.config import SocketSettings
from insula.errors import ConfigurationError
from insula.kernel.fds import Fd
from insula.kernel.process import has_ended, start_time

_SO_PEERGROUPS = 59
"""The peer's supplementary groups: unix(7), since Linux 4.13."""
_SO_PEERPIDFD = 77
"""A pidfd of the peer: unix(7), since Linux 6.5."""
_NGROUPS_MAX = 65536


Account = int | str
"""Whose clients count together: a user of this host, by uid, or whoever a remote client proves to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Who connected: a process of this host, as the kernel vouches for it at that moment, or somebody from afar.

    born: when the process began, in clock ticks since boot: with that its pid is no other's; None if it has ended.
    address: where a remote client comes from; pid, uid and gid are None then. name: whom its certificate
    says it is; sasl_user: whom it has proved to be by SASL.
    """

    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    groups: frozenset[int] = frozenset()
    born: int | None = None
    address: str | None = None
    name: str | None = None
    sasl_user: str | None = None

    def __str__(self) -> str:
        who = f"SASL user '{self.sasl_user}', " if self.sasl_user is not None else ""
        if self.uid is not None:
            return f"{who}pid={self.pid} uid={self.uid}"
        return f"{who}{self.name or 'somebody'} from {self.address}"

    @property
    def account(self) -> Account:
        """Whose clients count together: never a number for one from afar, which no uid is.

        Where only the address is known, its network: whoever has one IPv6 address has as many as they like beside it.
        """
        if self.uid is not None:
            return self.uid
        return f"'{self.name}'" if self.name is not None else f"at {network_of(self.address or '')}"

    @property
    def is_privileged(self) -> bool:
        """Whether it could end us anyway: it is root's, or our own user's."""
        return self.uid in (0, os.geteuid())


def network_of(address: str) -> str:
    """Return an IPv4 address itself, also one that an IPv6 socket tells of; of an IPv6 address the /64 that it is in.

    Source: RFC 4291, sections 2.5.1 (interface identifiers) and 2.5.5.2 (IPv4-mapped addresses).
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def peer_of(connection: socket.socket) -> Peer:
    """Return who connected; from afar, no more than from where. Source: unix(7), SO_PEERCRED and SO_PEERGROUPS."""
    if connection.family != socket.AF_UNIX:
        return Peer(address=str(connection.getpeername()[0]))
    credentials = struct.Struct("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    pid, uid, gid = credentials.unpack(raw)
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _NGROUPS_MAX)
        groups = frozenset(struct.unpack(f"{len(raw) // 4}I", raw))
    except OSError:
        groups = frozenset()
    return Peer(pid=pid, uid=uid, gid=gid, groups=groups, born=_birth(connection, pid))


def _birth(connection: socket.socket, pid: int) -> int | None:
    """Return when a peer began. Where the kernel has no SO_PEERPIDFD, a pid may have come to mean another before."""
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            return None
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
    try:
        born = start_time(pid)
        return None if has_ended(Fd(pidfd)) else born  # it has not ended, so its pid was nobody else's
    except OSError:
        return None
    finally:
        os.close(pidfd)


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Who may use a socket: root, this daemon's own user, the group's members, everybody if its mode says so."""

    gid: int | None
    everybody: bool

    def permits(self, peer: Peer) -> bool:
        """Whether the peer may come in."""
        member = self.gid is not None and (peer.gid == self.gid or self.gid in peer.groups)
        return peer.is_privileged or member or self.everybody


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
