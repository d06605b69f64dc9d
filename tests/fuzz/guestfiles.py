"""What guests say and write, roots and administrators too: accounts, a bus, os-release, subordinate ids, sources."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from insula.engine import accounts, idreservation
from insula.engine.look.busmessages import HEAD, BusFormatError, call, whole_length
from insula.engine.look.busmessages import parse as parse_message
from insula.storage.builders.aptsources import parse_deb822, parse_one_line, render
from insula.storage.idpools import subordinate_ids
from insula.storage.imagestore import _os_release
from tests.fuzz.mutation import edited
from tests.fuzz.target import BrokenError, One

Inputs = Callable[[], bytes]
_ID_MAX = (1 << 32) - 2

_ACCOUNTS = [
    b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv:/bin/false\n1000:x:5:6::/:/x\n\0root:x:0:\nadm:x:4:web,root\nweb:x:33:\n",
    b"web:x:4294967294:4294967295:::\n\0web:x:-1:web\n",
    b"web:x:\xc2\xb2:33:::\n:::::::\n\0:::\n\xff:x:1:web\n",
]


def account_files(chance: Random) -> Inputs:
    """Make a passwd and a group file with a zero byte between them."""
    return lambda: edited(_ACCOUNTS[int(chance.random() * len(_ACCOUNTS))], chance, _ACCOUNTS)


@contextmanager
def account_world() -> Iterator[One]:
    """Whoever is asked for is refused with ENOENT, or has ids that setresuid(2) takes and never means to stay root."""
    files = {"/etc/passwd": b"", "/etc/group": b""}

    def lines(path: str) -> list[str]:
        return files[path].decode(errors="replace").splitlines()

    def one(data: bytes) -> None:
        files["/etc/passwd"], _, files["/etc/group"] = data.partition(b"\0")
        for user, group in (("web", None), ("root", "adm"), ("1000", "33"), ("²", None), ("", "")):
            try:
                account = accounts.find_account(lines, user, group)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                continue
            if not all(0 <= each <= _ID_MAX for each in (account.uid, account.gid, *account.groups)):
                raise BrokenError(f"{user!r} would become {account}")
            if not account.home:
                raise BrokenError("a home without a name")

    yield one


_ANSWERS = [
    call(1, "org.b", "/o", ("org.b.I", "Get"), "text", ("a", "b")),
    b"l\2\1\1\x11\0\0\0\4\0\0\0\x0f\0\0\0\5\1u\0\1\0\0\0\x08\1g\0\1v\0\0\1s\0\0\7\0\0\0running\0\0",
    b"l\2\1\1\x10\0\0\0\4\0\0\0\x15\0\0\0\5\1u\0\1\0\0\0\x08\1g\0\7a(susso)\0\0\0\x08\0\0\0" + bytes(24),
]


def bus_answers(chance: Random) -> Inputs:
    return lambda: edited(_ANSWERS[int(chance.random() * len(_ANSWERS))], chance, _ANSWERS)


def bus_answer(data: bytes) -> None:
    """A message of a guest's bus is refused, or is what its signature says."""
    try:
        if len(data) < HEAD or whole_length(data[:HEAD]) > len(data):
            return
        message = parse_message(data)
        for signature in ("v", "s", "a(susso)", "a(ssssssouso)"):
            try:
                values = message.values(signature)
            except BusFormatError:
                continue
            if len(values) != 1 or (signature == "s" and not isinstance(values[0], str)):
                raise BrokenError(f"{signature} is read as {values}")
    except BusFormatError:
        pass


_RELEASES = [
    b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n',
    b"ID='a'\n=\n==\nX\n\xff=\xfe\n",
]


def releases(chance: Random) -> Inputs:
    return lambda: edited(_RELEASES[int(chance.random() * len(_RELEASES))], chance, _RELEASES)


def os_release(directory: Path, data: bytes) -> None:
    """What a root says of itself is texts, whatever it is."""
    (directory / "etc").mkdir(exist_ok=True)
    (directory / "etc/os-release").write_bytes(data)
    _os_release(directory)


_SUBIDS = [
    b"root:100000:65536\nlibvirt:200000:65536\n0:1:2\n",
    b"root:\xc2\xb2:1\n:1:1\nx:1\n",
    b"x:" + b"1" * 5000 + b":1\n",
]


def subids(chance: Random) -> Inputs:
    return lambda: edited(_SUBIDS[int(chance.random() * len(_SUBIDS))], chance, _SUBIDS)


def subordinate(directory: Path, data: bytes) -> None:
    """Lists of subordinate ids give ranges; lines that are none are skipped."""
    path = directory / "subuid"
    path.write_bytes(data)
    subordinate_ids(path)
    for own in (True, False):
        idreservation._listed(path, own=own)


_SOURCES = [
    b"deb http://x/debian bookworm main contrib\ndeb-src http://x y z\n"
    b"deb [arch=amd64,i386 signed-by=/k] http://y/ ./\n",
    b"Types: deb deb-src\nURIs: http://x/ http://y/\nSuites: bookworm bookworm-updates\nComponents: main\n"
    b"Signed-By:\n -----\n .\n x\n\nEnabled: no\n",
]


def sources(chance: Random) -> Inputs:
    return lambda: edited(_SOURCES[int(chance.random() * len(_SOURCES))], chance, _SOURCES)


def apt_sources(data: bytes) -> None:
    """Files of apt's sources give sources, which can be written."""
    text = data.decode(errors="replace")
    for parse in (parse_one_line, parse_deb822):
        render(parse(text))
