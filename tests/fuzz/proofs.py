"""What clients say to prove who they are, and what daemons answer: both sides of SCRAM, and the file of users."""

import re
from collections.abc import Callable
from random import Random

from insula.daemon.authority.saslusers import SaslUsers, parse_users
from insula.errors import AuthenticationError, ConfigurationError
from insula.rpc.scram import MESSAGE_MAX, ScramClient, ScramServer, keys_of
from tests.fuzz.mutation import edited
from tests.fuzz.target import BrokenError

_MECHANISM = "SCRAM-SHA-256"
_KEYS = keys_of(_MECHANISM, "pencil", salt=b"sixteen bytes...", iterations=4096)
_SAID = (
    b"n,,n=anna,r=fyko+d2lbbFgONRv9qkxdawL\nc=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X",
    b"y,a=anna,n=an=2Cna,r=clientnonce,ext=1\nc=eSxhPWFubmEs,r=clientnonce,ext=1,p=AAAA",
    b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096\nv=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
_FILES = (str(SaslUsers(secret=b"s" * 32).with_password("anna", "pencil")).encode(), b"decoys AAAA\n# nobody\n")


def messages(chance: Random) -> Callable[[], bytes]:
    return lambda: edited(_SAID[int(chance.random() * len(_SAID))], chance, _SAID)


def believed(data: bytes) -> None:
    """Whatever is said without the password is refused with AuthenticationError, by either side."""
    first, _, last = data.partition(b"\n")
    server = ScramServer(_MECHANISM)
    try:
        server.named(first)
        if len(server.ask(_KEYS)) > 2 * MESSAGE_MAX:
            raise BrokenError("the question grows with what was said")
        server.judge(last)
    except AuthenticationError:
        pass
    else:
        raise BrokenError("a proof without a password was believed")
    client = ScramClient(_MECHANISM, "anna", "pencil")
    asked = first.replace(b"r=", b"r=" + client.first().partition(b"r=")[2], 1)
    if not re.search(rb",i=4096(,|$)", asked):  # as often as another number says it would calculate, as it should
        asked = b""
    try:
        client.prove(asked)
        client.check(last)
    except AuthenticationError:
        return
    raise BrokenError("a daemon that does not know the password was believed")


def files(chance: Random) -> Callable[[], bytes]:
    return lambda: edited(_FILES[int(chance.random() * len(_FILES))], chance, _FILES)


def user_file(data: bytes) -> None:
    """A file of users is refused with ConfigurationError, or is read again as it is written."""
    try:
        users = parse_users(data, "sasl-users")
    except ConfigurationError as error:
        if "sasl-users" not in str(error):
            raise BrokenError("the error does not name the file") from error
        return
    if parse_users(str(users).encode()) != users:
        raise BrokenError("what is written is read as something else")
