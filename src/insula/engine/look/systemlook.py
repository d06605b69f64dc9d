"""A look at a running guest's system, as its own files describe it: what it is called, its time zone, who is logged in.

    tell-system   what `visit` takes ; the same → os, kernel: texts by name; zone: name, offset; users: by name the
                  seconds since 1970 when they logged in first; names: static and pretty, where the host has them

Sources: os-release(5), localtime(5), hostname(5), machine-info(5), utmp(5); systemd-logind's files of sessions, which
its documents call private, and which are all there is on a system without utmp.
"""

import io
import os
import shlex
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from insula.engine.accounts import Lines, lines_below
from insula.engine.look.regularfile import open_regular
from insula.engine.look.visit import visit
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd

TEXT_MAX = 256
"""Characters of a text that is told."""
USERS_MAX = 256
_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_FIELDS = frozenset({"ID", "NAME", "PRETTY_NAME", "VERSION", "VERSION_ID", "VARIANT", "VARIANT_ID"})
_LINES_MAX = 256
_ZONE, _ZONE_MAX = "/etc/localtime", 1 << 16
_ZONES = "zoneinfo/"
_HOSTNAME, _MACHINE = "/etc/hostname", "/etc/machine-info"
_SESSIONS, _SESSIONS_MAX = "/run/systemd/sessions", 4096
_UTMP, _UTMP_MAX = "/run/utmp", 4 << 20
_USER_PROCESS = 7
_RECORD = struct.Struct(
    "<h2xi32s4s32s256shhiii16s20x" if os.uname().machine == "x86_64" else "<h2xi32s4s32s256shhqqq16s24x"
)
"""Of utmp: its last time but one is in seconds. A machine whose times always had 64 bits has larger ones."""


def tell_system(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """Return what the guest says of itself; what it does not say is left out."""
    root = visit(arguments, fds)
    system = os.uname()
    kernel = {"kernel-release": system.release, "kernel-version": system.version, "machine": system.machine}
    return {
        "os": release(lines_below(root)),
        "kernel": kernel,
        "zone": zone(root),
        "users": users(root),
        "names": names(lines_below(root)),
    }


def release(lines: Lines) -> dict[str, str]:
    """Return the fields of os-release by name."""
    for path in _RELEASES:
        if found := {name: value[:TEXT_MAX] for name, value in _assignments(lines, path) if name in _FIELDS}:
            return found
    return {}


def zone(root: Fd) -> dict[str, Any] | None:
    """Return the time zone's name, and seconds that it is ahead of UTC now; None if there is no saying."""
    try:
        now = datetime.now(ZoneInfo.from_file(io.BytesIO(_content(root, _ZONE, _ZONE_MAX))))
        offset, own_name = now.utcoffset(), now.tzname()
    except FileNotFoundError:
        return {"name": "UTC", "offset": 0}
    except (OSError, ValueError, LookupError, struct.error):
        return None
    name = _zone_named(root) or own_name or ""
    return {"name": name[:TEXT_MAX], "offset": 0 if offset is None else int(offset.total_seconds())}


def _zone_named(root: Fd) -> str:
    """The name that the link to the zone's file leads to, empty if it is none."""
    with suppress(OSError):
        directory = open_beneath(root, os.path.dirname(_ZONE), os.O_PATH | os.O_DIRECTORY, resolve=CONTAINED)
        try:
            return os.readlink(os.path.basename(_ZONE), dir_fd=directory).partition(_ZONES)[2]
        finally:
            os.close(directory)
    return ""


def names(lines: Lines) -> dict[str, str]:
    """Return what the host is called by its files: static, what it calls itself at each boot; pretty, for people."""
    found: dict[str, str] = {}
    with suppress(OSError):
        said = (line.strip() for line in islice(lines(_HOSTNAME), _LINES_MAX))
        found["static"] = next((line for line in said if line and not line.startswith("#")), "")[:TEXT_MAX]
    found["pretty"] = dict(_assignments(lines, _MACHINE)).get("PRETTY_HOSTNAME", "")[:TEXT_MAX]
    return {name: text for name, text in found.items() if text}


def users(root: Fd) -> dict[str, int]:
    """Return who is logged in, since when: the earlier of several times."""
    found: dict[str, int] = {}
    for name, since in (*_users_of_utmp(root), *_users_of_logind(root)):
        if name in found or len(found) < USERS_MAX:
            found[name] = min(since, found.get(name, since))
    return found


def _users_of_utmp(root: Fd) -> Iterator[tuple[str, int]]:
    with suppress(OSError):
        content = _content(root, _UTMP, _UTMP_MAX)
        whole = len(content) - len(content) % _RECORD.size
        for record in _RECORD.iter_unpack(content[:whole]):
            kind, name, seconds = record[0], record[4].split(b"\0")[0], record[9]
            if kind == _USER_PROCESS and name:
                yield name.decode(errors="replace"), seconds


def _users_of_logind(root: Fd) -> Iterator[tuple[str, int]]:
    with suppress(OSError):
        directory = open_beneath(root, _SESSIONS, os.O_RDONLY | os.O_DIRECTORY, resolve=CONTAINED)
        try:
            names = sorted(os.listdir(directory))[:_SESSIONS_MAX]
        finally:
            os.close(directory)
        lines = lines_below(root)
        for each in names:
            said = dict(_assignments(lines, f"{_SESSIONS}/{each}"))
            if is_user_class(said.get("CLASS", "")) and said.get("USER") and said.get("REALTIME", "").isdecimal():
                yield said["USER"][:TEXT_MAX], int(said["REALTIME"][:18]) // 1_000_000


def is_user_class(session: str) -> bool:
    """Whether sessions of a class are somebody's who is logged in: root's are `user-early` since systemd 256."""
    return session.partition("-")[0] == "user" and session != "user-incomplete"


def _assignments(lines: Lines, path: str) -> Iterator[tuple[str, str]]:
    """Yield the assignments of a file in the shell's notation; one that cannot be read has none."""
    with suppress(OSError):
        for number, line in enumerate(lines(path)):
            if number == _LINES_MAX:
                return
            name, _, value = line.strip().partition("=")
            with suppress(ValueError):
                if name and not name.startswith("#"):
                    yield name, "".join(shlex.split(value))


def _content(root: Fd, path: str, most: int) -> bytes:
    with open(open_regular(root, path, resolve=CONTAINED), "rb") as file:
        return file.read(most)
