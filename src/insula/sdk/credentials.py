"""Who we say that we are, and the password: from where libvirt's clients have them, else from whoever sits there.

    [credentials-anna]
    authname=anna
    password=...

    [auth-libvirt-web1]                  the host as the address has it, localhost for this one; default for all others
    credentials=anna

Source: libvirt's documentation of client authentication.
"""

import os
import sys
from collections.abc import Callable
from configparser import ConfigParser, MissingSectionHeaderError, ParsingError
from configparser import Error as MalformedError
from pathlib import Path
from typing import NamedTuple

from insula.errors import AuthenticationError, AuthenticationUnavailableError

FILE_VARIABLE = "LIBVIRT_AUTH_FILE"
LOCAL = "localhost"


class Credential(NamedTuple):
    """Who somebody is, and what proves it."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credential({self.user!r})"  # no password in a trace


Credentials = Callable[[], Credential]
"""Finds them, once they are needed. Raises: AuthenticationError."""


def credentials_for(host: str, user: str | None = None, file: str | None = None) -> Credentials:
    """Return what finds them for a host. user, file: what its address says of them."""

    def find() -> Credential:
        kept = _kept(host or LOCAL, file)
        name = user or kept.get("authname") or kept.get("username") or _asked("user", secret=False)
        same = kept.get("authname", kept.get("username", name)) == name
        password = kept.get("password") if same else None
        return Credential(name, password or _asked(f"password of {name}", secret=True))

    return find


def _kept(host: str, file: str | None) -> dict[str, str]:
    """Return what a file has for a host, nothing where there is no file."""
    path = _file_named(file)
    if path is None:
        return {}
    parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        parser.read_string(path.read_text())
    except OSError as error:
        raise AuthenticationError(f"the file of credentials {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, MalformedError) as error:
        # What these say quotes lines, and so may the trace: a password may stand there.
        raise AuthenticationError(
            f"the file of credentials {path} cannot be read: it makes no sense{_where(error)}"
        ) from None
    for section in (f"auth-libvirt-{host}", "auth-libvirt-default"):
        if parser.has_section(section):
            named = f"credentials-{parser.get(section, 'credentials', fallback='')}"
            if not parser.has_section(named):
                raise AuthenticationError(f"the file of credentials {path} has no [{named}], which [{section}] names")
            return dict(parser[named])
    return {}


def _where(error: Exception) -> str:
    if isinstance(error, ParsingError):  # a MissingSectionHeaderError too
        lines = [error.lineno] if isinstance(error, MissingSectionHeaderError) else [each for each, _ in error.errors]
        return f" in line {', '.join(map(str, lines))}"
    return ", as it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else ""


def _file_named(by_address: str | None) -> Path | None:
    """Return the file that counts, None if there is none.

    Raises: AuthenticationError for one that the address, or else the environment, names and that there is not.
    """
    for each, who in ((by_address, "the address"), (os.environ.get(FILE_VARIABLE), FILE_VARIABLE)):
        if each:
            named = Path(each)
            if not named.exists():
                raise AuthenticationError(f"the file of credentials {named}, which {who} names, does not exist")
            return named
    own = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "libvirt/auth.conf"
    return next((each for each in (own, Path("/etc/libvirt/auth.conf")) if each.exists()), None)


def _asked(what: str, *, secret: bool) -> str:
    """Ask whoever sits at the terminal. Raises: AuthenticationUnavailableError if nobody does, or says nothing."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        raise AuthenticationUnavailableError(
            f"the daemon wants a user and a password: put them into ~/.config/libvirt/auth.conf, or be at a terminal "
            f"({what} is not known)"
        )
    try:
        if secret:
            import getpass

            said = getpass.getpass(f"{what}: ")
        else:
            sys.stderr.write(f"{what}: ")
            sys.stderr.flush()
            said = sys.stdin.readline().strip()
    except EOFError:
        said = ""
    if not said:
        raise AuthenticationUnavailableError(f"no {what} was given")
    return said
