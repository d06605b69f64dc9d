"""passwd, authorize: a user's password, and whose ssh keys let in; the daemon writes them (`service.guestaccess`)."""

import argparse
import contextlib
import getpass
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from insula.cli import terminal
from insula.cli.lookup import domain
from insula.errors import InvalidArgumentError
from insula.sdk.blocking_domains import Host

_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [^\x00-\x1f\x7f]*)?")
"""Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options."""
_PASSWORD_MAX = 512
"""Bytes that crypt(3) takes."""
_KEYS_SIZE = 32 << 10
"""Bytes of keys at once: they fit a pipe."""


def _passwd_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-u", "--user", default="root", help="whose, by name (default: root)")
    parser.add_argument("domain", help="name, id or UUID")
    parser.epilog = (
        "The password is asked for at a terminal, else it is the first line of the standard input. Its hash is written "
        "into the domain's root, whether it runs or not."
    )


def _passwd(options: argparse.Namespace, host: Host) -> int:
    if not options.user or set(options.user) & set(":\n\0"):
        raise InvalidArgumentError(f"{options.user!r} names no user")
    found = domain(host, options.domain)
    found.set_password(options.user, asked_password(options.user, options.domain))
    return 0


def asked_password(user: str, name: str) -> str:
    """Ask for the password, twice at a terminal. Raises: InvalidArgumentError."""
    if terminal.is_terminal(0):
        password = getpass.getpass(f"password of {user} in {name}: ")
        if getpass.getpass("again: ") != password:
            raise InvalidArgumentError("the two passwords differ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    return checked_password(password)


def password_in(name: str) -> str:
    """Return the first line of a file, of the standard input for `-`, as a password. Raises: InvalidArgumentError."""
    try:
        with contextlib.nullcontext(sys.stdin) if name == "-" else open(name) as file:
            return checked_password(file.readline().removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidArgumentError(f"the password in '{name}' cannot be read: {reason}") from error


def checked_password(password: str) -> str:
    """Return it. Raises: InvalidArgumentError for one that nobody could type."""
    if not password or len(password.encode()) > _PASSWORD_MAX or not password.isprintable():
        raise InvalidArgumentError(f"a password has 1 to {_PASSWORD_MAX} bytes, and nothing invisible")
    return password


def _authorize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-u", "--user", default="root", help="whose, by name or number (default: root)")
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="public keys (default: yours, ~/.ssh/id_*.pub); - for the input"
    )
    parser.epilog = "Keys that are there already are not added again. An ssh server is the guest's own to have."


def _authorize(options: argparse.Namespace, host: Host) -> int:
    keys = keys_in(options.files or _own_keys())
    domain(host, options.domain).authorize(options.user, keys)
    return 0


def keys_in(files: Sequence[str]) -> list[str]:
    """Return the public keys in files, of the standard input for `-`. Raises: InvalidArgumentError."""
    return keys_of([_content(each) for each in files])


def _own_keys() -> list[str]:
    found = sorted(map(str, Path("~/.ssh").expanduser().glob("id_*.pub")))
    if not found:
        raise InvalidArgumentError("there is no ~/.ssh/id_*.pub here: name a file of public keys, or use ssh-keygen")
    return found


def _content(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidArgumentError(f"the keys in '{name}' cannot be read: {reason}") from error


def keys_of(texts: Sequence[str]) -> list[str]:
    """Return the public keys in texts, each once. Raises: InvalidArgumentError for anything else, or too many."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    keys = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    for key in keys:
        if "PRIVATE KEY" in key:
            raise InvalidArgumentError("that is a private key, which stays with you: give the one in the file *.pub")
        if not _PUBLIC_KEY.fullmatch(key):
            raise InvalidArgumentError(f"'{key[:60]}' is no public key of ssh's")
    if not keys:
        raise InvalidArgumentError("there is no public key in what was given")
    if sum(len(each.encode()) + 1 for each in keys) > _KEYS_SIZE:
        raise InvalidArgumentError(f"there are more than {_KEYS_SIZE} bytes of keys; give them in parts")
    return keys


ARGUMENTS = {"passwd": _passwd_arguments, "authorize": _authorize_arguments}
RUN = {"passwd": _passwd, "authorize": _authorize}
