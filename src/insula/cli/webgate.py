"""Who may come in at the web console: checks of a request before anything is answered. Pure.

The token in the address is the key. Host and Origin keep out pages of others that the same browser shows: one whose
name was made to mean this host (DNS rebinding) comes with its own name.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from insula.errors import InvalidArgumentError, UnsupportedConfigError

LINE = "line"
"""The name, behind the token, of what speaks the WebSocket protocol."""
FILES: Mapping[str, str] = {
    "": "page.html",
    "page.js": "page.js",
    "page.css": "page.css",
    "xterm.js": "xterm.js",
    "xterm.css": "xterm.css",
    "addon-fit.js": "addon-fit.js",
}
"""What is there behind the token, and in which file."""
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


class WebRefusal(Enum):
    """Why a request is not served, by the status of HTTP."""

    FORBIDDEN = 403
    NOT_FOUND = 404


class WebRequest(NamedTuple):
    """What a request is for. name: behind the token, `LINE` or one of `FILES`."""

    name: str


def admitted(token: str, path: str, host: str | None, origin: str | None) -> WebRequest | WebRefusal:
    """Return what a request is for, or why it is refused. path, host, origin: as the request has them."""
    if host is None or not is_local(host):
        return WebRefusal.FORBIDDEN
    given, slash, name = path.removeprefix("/").partition("/")
    if not slash or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        return WebRefusal.NOT_FOUND
    if name == LINE:  # which a page of anybody's could open, but not without saying whose it is
        return WebRequest(name) if origin == f"http://{host}" else WebRefusal.FORBIDDEN
    if name not in FILES:
        return WebRefusal.NOT_FOUND
    return WebRequest(name) if origin in (None, f"http://{host}") else WebRefusal.FORBIDDEN


def is_local(host: str) -> bool:
    """Whether a Host header names this host itself, with whatever port: ssh may forward one to another."""
    try:
        parts = urlsplit(f"//{host}")
        if parts.netloc != host or "@" in host or parts.port == 0:
            return False
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


class ListeningPlace(NamedTuple):
    """Where to listen: an address and a port of the loopback, or the path of a UNIX socket."""

    address: str = "127.0.0.1"
    port: int = 0
    path: str | None = None

    @property
    def url_host(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def place_of(text: str | None) -> ListeningPlace:
    """Read PORT, ADDRESS:PORT or an absolute path; None is any free port.

    Raises: InvalidArgumentError for nothing of that kind, UnsupportedConfigError for an address that others can reach.
    """
    if text is None:
        return ListeningPlace()
    if text.startswith("/"):
        return ListeningPlace(path=text)
    address, _, port = text.rpartition(":")
    address = address.strip("[]") or "127.0.0.1"
    try:
        found = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
        if not 0 <= int(port) < 65536:
            raise ValueError(port)
    except ValueError as error:
        raise InvalidArgumentError(f"'{text}' is no PORT, ADDRESS:PORT or absolute path to listen at") from error
    if not found.is_loopback:
        raise UnsupportedConfigError(
            f"a console is offered on the loopback only, not at {found}: use ssh -L, or a proxy with TLS in front"
        )
    return ListeningPlace(address=str(found), port=int(port))
