"""Listening sockets: made with the right owner and mode from the first moment or taken from systemd, and given back."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from insula.daemon.activation import PassedSocket
from insula.daemon.config import Settings, SocketAccess, SocketSettings
from insula.daemon.partings import refuse_descriptors
from insula.daemon.peers import Admission, admission_of
from insula.daemon.remotesettings import TcpSettings, TlsSettings
from insula.errors import ConfigurationError
from insula.kernel.leftsockets import remove_left_socket

BACKLOG = 512
_ACCEPTS_A_TURN = 32
_EXHAUSTED_PAUSE = 1.0
"""Seconds not to accept after the process has run out of descriptors or memory."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_logger = logging.getLogger(__name__)


class EndpointKind(Enum):
    """From where a socket is reached: this host, or others with TLS or without."""

    LOCAL = "local"
    TLS = "TLS"
    TCP = "TCP"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A socket to come in by. path: None for one that is reached from other machines; inode: of the file we made, None
    for one that is not ours to remove."""

    socket: socket.socket
    kind: EndpointKind
    path: Path | None
    access: SocketAccess
    admission: Admission
    inode: int | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        host, port, *_ = self.socket.getsockname()
        return f"{f'[{host}]' if ':' in host else host}:{port} ({self.kind.value})"


def open_endpoints(settings: Settings, passed: Sequence[PassedSocket]) -> list[Endpoint]:
    """Return the endpoints to listen on: those systemd passed if it passed any, else those of the settings.

    Where clients from other machines may come, and systemd passed no socket for them, that is made.

    Raises: ConfigurationError naming the socket that cannot be made, or that somebody else serves.
    """
    made = [_passed(each, settings) for each in passed]
    try:
        for each in () if passed else settings.sockets:
            made.append(make_endpoint(each))  # noqa: PERF401 - those made are closed if one fails
        for wanted, kind in ((settings.remote.tls, EndpointKind.TLS), (settings.remote.tcp, EndpointKind.TCP)):
            if wanted.listen and all(each.kind is not kind for each in made):
                made += _reached_from_afar(wanted, kind)
    except BaseException:
        close_endpoints(made)
        raise
    return made


def lasts(endpoints: Sequence[Endpoint], passed: Sequence[PassedSocket]) -> bool:
    """Whether other machines reach us by a port of our own, so that nobody would start us for them again."""
    kept = [each.socket for each in passed]
    return any(each.path is None and each.socket not in kept for each in endpoints)


def close_endpoints(endpoints: Sequence[Endpoint]) -> None:
    """Stop listening and remove the files that are still ours: a stale one is refused by clients for ever."""
    for each in endpoints:
        each.socket.close()
        if each.path is not None and _is_ours(each):
            each.path.unlink(missing_ok=True)


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether the file at the endpoint's path is the one we made, and still there."""
    try:
        return (
            endpoint.inode is not None and endpoint.path is not None and endpoint.path.stat().st_ino == endpoint.inode
        )
    except FileNotFoundError:
        return False


def readmission(endpoint: Endpoint, settings: Settings) -> tuple[SocketSettings, Admission] | None:
    """Return who may use an endpoint by other settings; None for one that is not ours, or that they do not name.

    Raises: ConfigurationError for a group that there is not.
    """
    named = next((each for each in settings.sockets if each.path == endpoint.path), None)
    return (named, admission_of(named)) if named is not None and _is_ours(endpoint) else None


def readmitted(endpoint: Endpoint, found: tuple[SocketSettings, Admission] | None) -> Endpoint:
    """Return the endpoint with owner and mode of its file, and who may come in, as `readmission` found."""
    if found is None:
        return endpoint
    settings, admission = found
    try:
        settings.path.chmod(0o600)  # nobody comes by the mode of the one and the group of the other
        os.chown(settings.path, -1, os.getegid() if admission.gid is None else admission.gid)
        settings.path.chmod(settings.mode)
    except OSError as error:
        _logger.error("who may use %s is not as the settings say: %s", endpoint, error.strerror)
    return replace(endpoint, admission=admission)


def make_endpoint(settings: SocketSettings) -> Endpoint:
    """Return a socket that listens. Raises: ConfigurationError naming it if it cannot be made, or is served."""
    admission = admission_of(settings)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if remove_left_socket(settings.path):
            raise ConfigurationError(f"another daemon serves {settings.path}: stop it, or give this one other sockets")
        before = os.umask(0o177)  # nobody gets in before owner and mode are right
        try:
            listener.bind(str(settings.path))
        finally:
            os.umask(before)
        if admission.gid is not None:
            os.chown(settings.path, -1, admission.gid)
        settings.path.chmod(settings.mode)
        _prepare(listener, settings.access)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {settings.path}: {error.strerror}") from error
    except ConfigurationError:
        listener.close()
        raise
    inode = settings.path.stat().st_ino
    return Endpoint(
        socket=listener,
        kind=EndpointKind.LOCAL,
        path=settings.path,
        access=settings.access,
        admission=admission,
        inode=inode,
    )


def _passed(passed: PassedSocket, settings: Settings) -> Endpoint:
    """An endpoint that systemd made: its unit's settings decide who may connect, we only whether they may write.

    Raises: ConfigurationError for one that is neither a UNIX socket nor one for TLS.
    """
    if passed.socket.family in (socket.AF_INET, socket.AF_INET6):
        port = passed.socket.getsockname()[1]
        if not (passed.name.removesuffix(".socket").endswith("-tls") or port == settings.remote.tls.port):
            raise ConfigurationError(
                f"systemd passes a socket at port {port}, '{passed.name}': from afar clients come by TLS only, "
                f"at port {settings.remote.tls.port}, or by a socket whose name ends in -tls.socket"
            )
        return _afar(passed.socket, EndpointKind.TLS)
    path = Path(str(passed.socket.getsockname()))
    configured = {each.path: each.access for each in settings.sockets}
    read_only = path.name.endswith("-ro") or passed.name.removesuffix(".socket").endswith("-ro")
    access = configured.get(path, SocketAccess.READ_ONLY if read_only else SocketAccess.READ_WRITE)
    _prepare(passed.socket, access)
    admission = Admission(gid=None, everybody=True)
    return Endpoint(socket=passed.socket, kind=EndpointKind.LOCAL, path=path, access=access, admission=admission)


def _afar(listener: socket.socket, kind: EndpointKind) -> Endpoint:
    """Whoever is known by a certificate, or else proves who they are, may come in there, and do everything."""
    listener.setblocking(False)
    admission = Admission(gid=None, everybody=True)
    access = SocketAccess.READ_WRITE
    return Endpoint(socket=listener, path=None, access=access, admission=admission, kind=kind)


def _reached_from_afar(settings: TlsSettings | TcpSettings, kind: EndpointKind) -> list[Endpoint]:
    """Raises: ConfigurationError for an address that is not the host's, or a port that is taken."""
    made: list[Endpoint] = []
    try:
        for family, style, protocol, _, address in socket.getaddrinfo(
            settings.address or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listener = socket.socket(family, style | socket.SOCK_CLOEXEC, protocol)
            made.append(_afar(listener, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
    except OSError as error:
        close_endpoints(made)
        where = f"{settings.address or 'any address'}, port {settings.port}"
        raise ConfigurationError(f"cannot listen for {kind.value} at {where}: {error.strerror}") from error
    return made


def _prepare(listener: socket.socket, access: SocketAccess) -> None:
    """No call that a read-only client may make takes descriptors: where the kernel can, it refuses them at once."""
    if access is SocketAccess.READ_ONLY:
        refuse_descriptors(listener)


@contextmanager
def withdrawn(endpoints: Sequence[Endpoint]) -> Iterator[None]:
    """Take the files that are ours out of clients' sight, so that nobody comes any more; an error brings them back.

    Who has connected already waits in the socket, and is not lost; who comes now finds no daemon, as without us.
    """
    hidden: list[tuple[Path, Path]] = []
    try:
        for each in endpoints:
            if each.path is not None and _is_ours(each):
                hidden.append((each.path, each.path.with_name(f"{each.path.name}-")))
                os.rename(*hidden[-1])
        yield
    except BaseException:
        for path, there in hidden:
            with suppress(FileNotFoundError):
                os.rename(there, path)
        raise
    for _, there in hidden:
        there.unlink(missing_ok=True)


class Listener:
    """Accepts at one endpoint while resumed."""

    def __init__(self, endpoint: Endpoint, accepted: Callable[[socket.socket, Endpoint], None]) -> None:
        self.endpoint = endpoint
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._open = False
        self._retry: asyncio.TimerHandle | None = None

    def resume(self) -> None:
        """Accept clients from now on."""
        if not self._open:
            self._open = True
            self._loop.add_reader(self.endpoint.socket, self._readable)

    def pause(self) -> None:
        """Let clients wait in the backlog."""
        self._open = False
        self._loop.remove_reader(self.endpoint.socket)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def accept_waiting(self) -> None:
        """Accept those who have come and were not looked at yet."""
        self._readable()

    def _readable(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if not self._open:
                return
            try:
                connection, _ = self.endpoint.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _logger.error("cannot accept a client on %s: %s", self.endpoint, error.strerror)
                self.pause()
                self._retry = self._loop.call_later(_EXHAUSTED_PAUSE, self.resume)
                return
            self._accepted(connection, self.endpoint)
