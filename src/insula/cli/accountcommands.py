"""passwd, authorize: a user's first password, and whose ssh keys let in, set by the guest's own programs.

Nothing of ours walks through the guest's files: what writes there runs inside, confined as whatever `exec` runs.
"""

import argparse
import contextlib
import getpass
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from insula.cli import terminal
from insula.cli.insidecommand import FORWARDED, InsideCommand
from insula.cli.lookup import domain
from insula.errors import InvalidArgumentError, OperationFailedError
from insula.relay.relay import relayed
from insula.sdk import verbs
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.values import ExecRequest

_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [^\x00-\x1f\x7f]*)?")
"""Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options."""
_PASSWORD_MAX = 512
"""Bytes that crypt(3) takes."""
_KEYS_SIZE = 32 << 10
"""Bytes of keys at once: they fit a pipe."""

SET_PASSWORD = """IFS= read -r password || exit 1
if command -v chpasswd > /dev/null; then printf '%s:%s\\n' "$1" "$password" | chpasswd
else printf '%s\\n%s\\n' "$password" "$password" | passwd "$1" > /dev/null; fi"""
"""Sets the password of the user $1, which is the first line of the standard input; busybox may have no chpasswd."""

ADD_KEYS = """umask 077
mkdir -p "$HOME/.ssh" && cd "$HOME/.ssh" && touch authorized_keys || exit 1
if [ -s authorized_keys ] && [ -n "$(tail -c 1 authorized_keys)" ]; then echo >> authorized_keys || exit 1; fi
while IFS= read -r key; do
    grep -qxF -e "$key" authorized_keys || printf '%s\\n' "$key" >> authorized_keys || exit 1
done"""
"""Adds lines of the standard input that are not there yet."""


def _passwd_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-u", "--user", default="root", help="whose, by name (default: root)")
    parser.add_argument("domain", help="name, id or UUID; it must run")
    parser.epilog = (
        "The password is asked for at a terminal, else it is the first line of the standard input. The guest's own "
        "chpasswd or passwd sets it: the guest learns it, as at any log-in."
    )


def _passwd(options: argparse.Namespace, host: Host) -> int:
    if not options.user or set(options.user) & set(":\n\0"):
        raise InvalidArgumentError(f"{options.user!r} names no user")
    found = domain(host, options.domain)
    line = f"{_password(options.user, options.domain)}\n"
    return _inside(host, found, ("/bin/sh", "-c", SET_PASSWORD, "passwd", options.user), line, user="root")


def _password(user: str, name: str) -> str:
    """Ask for the password, twice at a terminal. Raises: InvalidArgumentError."""
    if terminal.is_terminal(0):
        password = getpass.getpass(f"password of {user} in {name}: ")
        if getpass.getpass("again: ") != password:
            raise InvalidArgumentError("the two passwords differ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    if not password or len(password.encode()) > _PASSWORD_MAX or not password.isprintable():
        raise InvalidArgumentError(f"a password has 1 to {_PASSWORD_MAX} bytes, and nothing invisible")
    return password


def _authorize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-u", "--user", default="root", help="whose, by name or number (default: root)")
    parser.add_argument("domain", help="name, id or UUID; it must run")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="public keys (default: yours, ~/.ssh/id_*.pub); - for the input"
    )
    parser.epilog = "Keys that are there already are not added again. An ssh server is the guest's own to have."


def _authorize(options: argparse.Namespace, host: Host) -> int:
    keys = keys_of([_content(each) for each in options.files or _own_keys()])
    found = domain(host, options.domain)
    lines = "".join(f"{each}\n" for each in keys)
    return _inside(host, found, ("/bin/sh", "-c", ADD_KEYS), lines, user=options.user)


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


def _inside(host: Host, found: Domain, argv: tuple[str, ...], given: str, *, user: str) -> int:
    """Run a command inside with that input. Raises: OperationFailedError if it fails."""
    client = host.client
    with _pipe_of(given.encode()) as source, terminal.waking(*FORWARDED) as signals, relayed(source, 1, 2) as relay:
        started = client.run(verbs.execute(found.ref, ExecRequest(argv=argv, user=user), relay.passed))
        relay.passed_on()
        status = InsideCommand(client, started, signals, relay).attend()
    if status:
        raise OperationFailedError(f"the command inside that was to do it ended with status {status}")
    return 0


@contextlib.contextmanager
def _pipe_of(content: bytes) -> Iterator[int]:
    """Give the end of a pipe that holds content, and then ends."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            os.write(writer, content)
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


ARGUMENTS = {"passwd": _passwd_arguments, "authorize": _authorize_arguments}
RUN = {"passwd": _passwd, "authorize": _authorize}
