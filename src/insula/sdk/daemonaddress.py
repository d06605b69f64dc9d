"""Where a daemon is, as libvirt's clients write it: `lxc+ssh://root@web1/system`, `lxc+tls://web1/system?pkipath=/pki`."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from insula.errors import InvalidArgumentError, OperationUnsupportedError

TLS_PORT = 16514
TCP_PORT = 16509

_OPTIONS = {
    "unix": frozenset({"socket", "authfile"}),
    "ssh": frozenset({"socket", "keyfile", "command", "authfile"}),
    "tls": frozenset({"pkipath", "authfile"}),
    "tcp": frozenset({"authfile"}),
}
"""What may follow the question mark, by transport."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonAddress:
    """transport: unix, ssh, tls or tcp; host: empty for this one; options: what follows the question mark."""

    transport: str
    host: str
    user: str | None
    port: int | None
    options: dict[str, str]

    def __str__(self) -> str:
        return f"{self.host} by {self.transport}" if self.host else "this host"


def parse_address(uri: str) -> DaemonAddress:
    """Return where a URI leads. Raises: InvalidArgumentError, OperationUnsupportedError for what we cannot follow."""
    try:
        parts = urlsplit(uri)
        port = parts.port
        options = dict(_option(each) for each in parts.query.split("&")) if parts.query else {}
    except ValueError as error:
        raise InvalidArgumentError(f"'{uri}' is no address of a daemon: {error}") from error
    driver, _, transport = parts.scheme.partition("+")
    if driver not in ("lxc", "insula") or parts.path not in ("", "/", "/system"):
        raise OperationUnsupportedError(f"'{uri}' cannot be connected to: it does not lead to lxc:///system anywhere")
    host = parts.hostname or ""
    transport = transport or ("tls" if host else "unix")
    if transport not in _OPTIONS:
        raise OperationUnsupportedError(f"'{uri}' cannot be connected to: there are {', '.join(_OPTIONS)}")
    if (transport == "unix") is bool(host):
        raise InvalidArgumentError(
            f"'{uri}' is no address of a daemon: {transport} {'has no' if host else 'needs a'} host"
        )
    user = None if parts.username is None else unquote(parts.username)
    if host.startswith("-") or (user or "").startswith("-"):
        raise InvalidArgumentError(f"'{uri}' is no address of a daemon: a name begins with -")
    if unknown := sorted(set(options) - _OPTIONS[transport]):
        known = ", ".join(sorted(_OPTIONS[transport]))
        raise OperationUnsupportedError(f"'{unknown[0]}' means nothing by {transport}; known there: {known}")
    return DaemonAddress(transport=transport, host=host, user=user, port=port, options=options)


def _option(text: str) -> tuple[str, str]:
    """Return name and value. A plus is a plus: an address is no form of a web page. Raises: ValueError without both."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise ValueError(f"'{text}' is no option with a value")
    return unquote(name), unquote(value)
