"""Connections to daemons of other hosts: through ssh, by TLS, and by TCP. None passes descriptors."""

import os
import shlex
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from insula.errors import AuthenticationError, NobodyListensError, OperationFailedError
from insula.kernel.standardstreams import socket_above_standard
from insula.layout import Layout
from insula.sdk import unix
from insula.sdk.daemonaddress import TCP_PORT, TLS_PORT, DaemonAddress

if TYPE_CHECKING:
    import ssl

    from insula.sdk.tcpsocket import TcpSocket

CONNECT_SECONDS: Final = 30.0
"""For a TCP connection, and again for shaking hands."""
_END_SECONDS: Final = 5.0
_AUTHORITY: Final = Path("/etc/pki/CA/cacert.pem")
_CERTIFICATES: Final = Path("/etc/pki/libvirt")
_WELCOME: Final = b"\1"


def opened(address: DaemonAddress, *, read_only: bool) -> unix.UnixSocket:
    """Return a connection to the daemon at an address.

    Raises: NobodyListensError, AccessDeniedError, AuthenticationError, OperationFailedError.
    """
    if address.transport == "ssh":
        return _over_ssh(address, read_only=read_only)
    if address.transport == "tls":
        return _by_tls(address)
    if address.transport == "tcp":
        return _by_tcp(address)
    layout = Layout.system()
    return unix.connect(address.options.get("socket") or (layout.socket_read_only if read_only else layout.socket))


class SshSocket(unix.UnixSocket):
    """The near end of a tunnel."""

    passes_fds = False

    def __init__(self, near: socket.socket, tunnel: "subprocess.Popen[bytes]", host: str) -> None:
        super().__init__(near)
        self._tunnel = tunnel
        self._host = host

    def receive(self) -> tuple[bytes, list[int]] | None:
        """See `UnixSocket`. Raises: OperationFailedError at the end, which is ssh's."""
        try:
            received = super().receive()
        except ConnectionError:
            received = b"", []
        if received is not None and not received[0]:
            raise self._ended()
        return received

    def _write_one(self, data: memoryview, fd: int | None) -> int:
        try:
            return super()._write_one(data, fd)
        except ConnectionError as error:
            raise self._ended() from error

    def _ended(self) -> OperationFailedError:
        self._end()
        return OperationFailedError(
            f"ssh to {self._host} has ended with status {self._tunnel.returncode}: the host needs a running insulad, "
            "and virt-ssh-helper or nc"
        )

    def close(self) -> None:
        """See `UnixSocket`. ssh is ended first: the helper beyond it complains of an end that it only sees."""
        self._tunnel.terminate()
        super().close()
        self._end()

    def _end(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._tunnel.wait(_END_SECONDS)
            return
        self._tunnel.kill()
        self._tunnel.wait()


def _over_ssh(address: DaemonAddress, *, read_only: bool) -> SshSocket:
    layout = Layout.system()
    path = address.options.get("socket") or str(layout.socket_read_only if read_only else layout.socket)
    reach = f"exec nc -U {shlex.quote(path)}"
    if "socket" not in address.options:
        helper = f"virt-ssh-helper {'-r ' if read_only else ''}lxc:///system"
        reach = f"if command -v virt-ssh-helper >/dev/null 2>&1; then exec {helper}; else {reach}; fi"
    words = [address.options.get("command", "ssh"), "-T", "-e", "none"]
    for option, value in (("-p", address.port), ("-l", address.user), ("-i", address.options.get("keyfile"))):
        words += [] if value is None else [option, str(value)]
    words += ["--", address.host, f"sh -c {shlex.quote(reach)}"]
    near, far = socket.socketpair()
    with far:
        try:
            tunnel = subprocess.Popen(words, stdin=far.fileno(), stdout=far.fileno())
        except OSError as error:
            near.close()
            raise OperationFailedError(f"'{words[0]}' cannot be executed: {error.strerror}") from error
    return SshSocket(socket_above_standard(near), tunnel, address.host)


class TlsSocket(unix.UnixSocket):
    """A connection on which hands have been shaken."""

    passes_fds = False

    def __init__(self, connected: "ssl.SSLSocket") -> None:
        super().__init__(connected)
        self._tls = connected

    def receive(self) -> tuple[bytes, list[int]] | None:
        """See `UnixSocket`: all that has been decrypted, for nobody would be told of what is held back."""
        from ssl import SSLWantReadError, SSLWantWriteError

        try:
            data = self._tls.recv(unix.USUAL_READ_SIZE)
        except (SSLWantReadError, SSLWantWriteError):
            return None
        while rest := self._tls.pending():
            data += self._tls.recv(rest)
        return data, []

    def _write_one(self, data: memoryview, fd: int | None) -> int:
        from ssl import SSLWantReadError, SSLWantWriteError

        try:
            return self._tls.send(data)
        except (SSLWantReadError, SSLWantWriteError) as error:
            raise BlockingIOError from error


def _by_tls(address: DaemonAddress) -> TlsSocket:
    import ssl

    where = address.options.get("pkipath")
    authority = _AUTHORITY if where is None else Path(where) / "cacert.pem"
    certificate = _CERTIFICATES / "clientcert.pem" if where is None else Path(where) / "clientcert.pem"
    key = _CERTIFICATES / "private/clientkey.pem" if where is None else Path(where) / "clientkey.pem"
    try:
        context = ssl.create_default_context(cafile=os.fspath(authority))
        context.load_cert_chain(certificate, key)
    except OSError as error:
        files = f"{authority}, {certificate}, {key}"
        raise AuthenticationError(f"the certificates for {address} cannot be used ({files}): {error}") from error
    plain = _connected(address.host, address.port or TLS_PORT)
    tls = None
    try:
        tls = context.wrap_socket(plain, server_hostname=address.host)
        welcome = tls.recv(len(_WELCOME))
    except OSError as error:
        (plain if tls is None else tls).close()
        raise AuthenticationError(f"{address.host} and we do not know each other by certificates: {error}") from error
    if welcome != _WELCOME:
        tls.close()
        raise AuthenticationError(f"{address.host} does not let us in: its daemon's log says why")
    return TlsSocket(tls)


def _by_tcp(address: DaemonAddress) -> "TcpSocket":
    from insula.sdk.tcpsocket import TcpSocket

    return TcpSocket(_connected(address.host, address.port or TCP_PORT))


def _connected(host: str, port: int) -> socket.socket:
    try:
        connected = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        text = f"no connection to {host}, port {port}: {error.strerror or error}"
        nobody = isinstance(error, ConnectionRefusedError)
        raise (NobodyListensError if nobody else OperationFailedError)(text) from error
    return socket_above_standard(connected)
