"""Ids for containers that nobody writes down: a free range, held for as long as the program that uses it lives.

A range is reserved by a name in the abstract socket namespace, so it is free again when its holder ends, however that
is. Ranges are looked for where root was given subordinate ids (`/etc/subuid`, `/etc/subgid`), else in a part of the
numbers that neither distributions nor Insula's daemon give out; one that somebody else was given, or that a running
user namespace already maps, is passed over. Sources: unix(7), subuid(5), user_namespaces(7).
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from insula.engine.spec import IdMap, IdRange
from insula.errors import ResourceBusyError

COUNT = 65536
"""Ids of one container, as many as any distribution uses."""

DEFAULT_POOL = range(0x6000_0000, 0x7000_0000)
"""1610612736…1879048191: inside what systemd's conventions leave to containers, below what Insula's daemon uses."""

_HOLDER = "root"
_NAME = "insula/ids"
"""How reservations are called in the abstract socket namespace, before a slash and the first id."""
_SUBUID, _SUBGID = Path("/etc/subuid"), Path("/etc/subgid")


class IdReservation:
    """One reserved range; `close` gives it back. idmap: the guest's ids 0 to 65535 stand for it."""

    def __init__(self, start: int, lock: socket.socket) -> None:
        self._lock = lock
        both = (IdRange(inside=0, outside=start, count=COUNT),)
        self.idmap = IdMap(uids=both, gids=both)

    def close(self) -> None:
        self._lock.close()


def reserve_ids() -> IdReservation:
    """Reserve a range that nobody uses. Raises: ResourceBusyError if there is none left."""
    given = _subordinate(own=True)
    avoided = [*_subordinate(own=False), *_mapped_now()]
    for pool in given or [DEFAULT_POOL]:
        for start in range(pool.start, pool.stop - COUNT + 1, COUNT):
            if any(start < each.stop and each.start < start + COUNT for each in avoided):
                continue
            lock = _reserve(start)
            if lock is not None:
                return IdReservation(start, lock)
    raise ResourceBusyError(
        "every range of ids for containers is in use: give root more in /etc/subuid and /etc/subgid"
    )


def _reserve(start: int) -> socket.socket | None:
    """Return a socket whose name stands for the range, None if another process holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        lock.bind(f"\0{_NAME}/{start}")
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return lock


def _subordinate(*, own: bool) -> list[range]:
    """Return the ranges given to root, as uids and gids alike; or those given to anybody else, as either."""
    users, groups = (_listed(path, own=own) for path in (_SUBUID, _SUBGID))
    return [each for each in users if each in groups] if own else [*users, *groups]


def _listed(path: Path, *, own: bool) -> list[range]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(errors="replace").splitlines():
            name, *numbers = line.strip().split(":")
            if len(numbers) == 2 and all(map(_is_id, numbers)) and (name in {_HOLDER, "0"}) == own:
                start, count = map(int, numbers)
                found.append(range(start, start + count))
    return found


def _is_id(text: str) -> bool:
    """Whether a text is an id or a count of ids: no more than 32 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _mapped_now() -> Iterator[range]:
    """Yield the host's ids that running processes' user namespaces map, that of the host itself left out."""
    seen = {_map_of("self")}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            text = _map_of(entry)
            if text not in seen:
                seen.add(text)
                for line in text.splitlines():
                    _, outside, count = map(int, line.split())
                    yield range(outside, outside + count)


def _map_of(process: str) -> str:
    try:
        # The kernel gives a page of lines at a time, of 340 that there may be.
        return Path(f"/proc/{process}/uid_map").read_text()
    except OSError:
        return ""
