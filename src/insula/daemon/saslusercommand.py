"""insulad sasl-user: who may come with a password.

    insulad sasl-user [--prefix DIR] [--config FILE] add NAME
    insulad sasl-user [--prefix DIR] [--config FILE] remove NAME
    insulad sasl-user [--prefix DIR] [--config FILE] list

The password is asked for at a terminal, else it is the first line of the standard input. A running daemon knows it from
the next time on that somebody wants to come.
"""

import argparse
import fcntl
import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from insula.daemon.authority.saslusers import SaslUsers, checked_user, read_users, write_users
from insula.daemon.config import load
from insula.errors import InsulaError, InvalidArgumentError
from insula.layout import layout_from
from insula.rpc.scram import plain_password

NAME: Final = "sasl-user"
_MISUSED: Final = 2


def main(argv: Sequence[str]) -> int:
    """Do what the words behind `sasl-user` say; return the exit status."""
    options = command_line().parse_args(argv)
    try:
        layout = layout_from(options.prefix)
        path = load(layout, options.config).remote.sasl.credentials
        if options.verb == "list":
            for each in read_users(path).names:
                sys.stdout.write(f"{each}\n")
            return 0
        user = checked_user(options.user)
        password = _asked_password(user) if options.verb == "add" else None
        with _alone(path):
            users = read_users(path) if path.exists() else SaslUsers()
            write_users(path, users.without(user) if password is None else users.with_password(user, password))
    except InsulaError as error:
        sys.stderr.write(f"insulad {NAME}: {error}\n")
        return error.exit_status
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\n")
        return _MISUSED
    return 0


def command_line() -> argparse.ArgumentParser:
    """The parser of the words behind `sasl-user`."""
    parser = argparse.ArgumentParser(prog=f"insulad {NAME}", description="Who may come with a password.")
    parser.add_argument("--prefix", metavar="DIR", help="of the installation whose file it is")
    parser.add_argument("--config", metavar="FILE", type=Path, help="its settings, which may name the file")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    adding = verbs.add_parser("add", help="add a user, or give one another password")
    adding.add_argument("user", metavar="NAME")
    removing = verbs.add_parser("remove", help="remove a user")
    removing.add_argument("user", metavar="NAME")
    verbs.add_parser("list", help="say who there is")
    return parser


def _asked_password(user: str) -> str:
    """Raises: InvalidArgumentError for one that not every client could give."""
    if os.isatty(0):
        password = getpass.getpass(f"password of {user}: ")
        if getpass.getpass("again: ") != password:
            raise InvalidArgumentError("the two passwords differ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    return plain_password(password)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let two that change the file wait for one another. Raises: InvalidArgumentError where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgumentError(f"the directory {path.parent} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
