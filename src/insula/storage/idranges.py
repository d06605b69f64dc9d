"""Which domain has which ids of the host: the same ones for as long as it is defined, and no two domains the same.

Kept in one file, written whole, under a lock that every process of the installation takes. Losing it costs little:
guests' files are stored unshifted, so a domain that gets other ids finds everything as it was. What must not happen is
that two running guests share ids; so the ids of every running user namespace, whoever made it, count as taken.

Several installations on one host (prefixes) know nothing of each other's files. They begin their search at places that
their prefixes determine, all avoid the ids that the system's own installation has given out, and see each other's
running guests as everybody's.
"""

import contextlib
import errno
import fcntl
import grp
import json
import logging
import os
import pwd
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from insula.engine.codec import loads
from insula.engine.spec import IdMap, IdRange
from insula.errors import OperationFailedError
from insula.kernel.durable import replace_file, sweep
from insula.layout import Layout
from insula.storage.idpools import SIZE, common, mapped_here, others_subordinate_ids, pools, running_maps

FORMAT = 1
FILE = "idranges.json"
_LOCK = "idranges.lock"

_log = logging.getLogger(__name__)


class IdRanges:
    """The ids of an installation's domains.

    recover: asked once when the file turns out broken: what the definitions and the running domains say.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        recover: Callable[[], Mapping[UUID, IdMap]] = dict,
        pools: Callable[[], Sequence[range]] = pools,
        taken: Callable[[], Sequence[range]] = lambda: [*others_subordinate_ids(), *running_maps()],
        mapped: Callable[[], Sequence[range]] = mapped_here,
    ) -> None:
        self._layout = layout
        self._recover = recover
        self._pools = pools
        self._taken = taken
        self._mapped = mapped
        self._known: tuple[bytes | None, dict[UUID, range]] = (None, {})
        """What the file said last, and what that means: understanding it takes longer than reading it."""

    @property
    def path(self) -> Path:
        return self._layout.state / FILE

    def find(self, uuid: UUID) -> IdMap | None:
        """Return a domain's ids, None if it has none yet."""
        with self._locked():
            found = self._read().get(uuid)
        return None if found is None else map_of(found)

    def allocate(self, uuid: UUID) -> IdMap:
        """Return a domain's ids, giving it some if it has none. They are its own until `release`.

        Raises: OperationFailedError if there are none left, or the file cannot be written.
        """
        with self._locked():
            given = self._read()
            if uuid not in given:
                given[uuid] = self._free(list(given.values()))
                self._write(given)
        return map_of(given[uuid])

    def release(self, uuid: UUID) -> None:
        """Let others have a domain's ids; no error if it has none. The domain must be gone."""
        with self._locked():
            given = self._read()
            if given.pop(uuid, None) is not None:
                self._write(given)

    def keep_only(self, uuids: Collection[UUID]) -> None:
        """Let others have the ids of all domains but these. The others must be gone.

        What a killed daemon left half written goes, too.
        """
        with self._locked():
            sweep(self._layout.state)
            given = self._read()
            kept = {uuid: ids for uuid, ids in given.items() if uuid in uuids}
            if kept != given:
                self._write(kept)

    def _free(self, given: Sequence[range]) -> range:
        taken = [*given, *self._taken(), *self._systems()]
        mapped = self._mapped()
        for pool in self._pools():
            count = len(pool) // SIZE
            busy = _busy_slots(pool, taken)
            first = _first_slot(self._layout.prefix, count)
            for number in range(count):
                slot = (first + number) % count
                ids = range(pool.start + slot * SIZE, pool.start + (slot + 1) * SIZE)
                if slot not in busy and _is_mapped(ids, mapped) and not _has_a_name(ids.start):
                    return ids
        raise OperationFailedError(
            f"no range of {SIZE} ids is free for another domain; give Insula more in /etc/subuid and /etc/subgid, "
            "for the user 'insula', or write an <idmap>"
        )

    def _systems(self) -> list[range]:
        """Return what the system's own installation has given out, as far as it lets us see. Raises: OSError."""
        system = Layout()
        if self._layout.prefix == system.prefix:
            return []
        try:
            return list(_parsed((system.state / FILE).read_bytes()).values())
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
            return []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._lock()
        try:
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def _lock(self) -> int | None:
        """Open the lock; None on a file system that is read-only and has none: then nobody else writes either."""
        path = self._layout.state / _LOCK
        try:
            self._layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise OperationFailedError(f"the ids of domains cannot be looked up: {error}") from error
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def _read(self) -> dict[UUID, range]:
        try:
            data = self.path.read_bytes()
            if data != self._known[0]:
                self._known = data, _parsed(data)
            return dict(self._known[1])
        except FileNotFoundError:
            return {}
        except OSError as error:
            # It may be whole, and be read the next time: beginning anew would give one guest's ids to another.
            raise OperationFailedError(f"the ids of domains cannot be read: {error}") from error
        except ValueError as error:
            return self._rebuilt(error)

    def _rebuilt(self, error: Exception) -> dict[UUID, range]:
        """Set a broken file aside and begin with what the rest of the installation knows."""
        aside = self.path.with_name(f"{FILE}.broken")
        with contextlib.suppress(OSError):
            self.path.replace(aside)
        given: dict[UUID, range] = {}
        for uuid, idmap in self._recover().items():
            ids = _own_range(idmap)
            if ids and not any(common(ids, other) for other in given.values()):
                given[uuid] = ids
        _log.warning(
            "%s cannot be read (%s): kept as %s, %d domains keep their ids", self.path, error, aside, len(given)
        )
        self._write(given)
        return given

    def _write(self, given: Mapping[UUID, range]) -> None:
        ranges = {str(uuid): [ids.start, len(ids)] for uuid, ids in sorted(given.items())}
        try:
            commit = replace_file(self.path, json.dumps({"format": FORMAT, "ranges": ranges}, indent=1).encode())
        except OSError as error:
            raise OperationFailedError(f"the ids of domains cannot be kept: {error}") from error
        if commit.unsynced is not None:
            _log.warning("the ids of domains are written down, but %s", commit)


def map_of(ids: range) -> IdMap:
    """Return the maps that show ids to a guest as 0 and up."""
    whole = (IdRange(inside=0, outside=ids.start, count=len(ids)),)
    return IdMap(uids=whole, gids=whole)


def _own_range(idmap: IdMap) -> range | None:
    """Return the ids of a map that `map_of` made, None for one that an administrator wrote."""
    if len(idmap.uids) != 1 or idmap.uids != idmap.gids or idmap.uids[0].inside or idmap.uids[0].count != SIZE:
        return None
    return range(idmap.uids[0].outside, idmap.uids[0].outside + SIZE)


def _parsed(data: bytes) -> dict[UUID, range]:
    """Return what a file says. Raises: ValueError if it says nothing we understand, or gives ids twice."""
    content = loads(data)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("ranges"), dict):
        raise ValueError("no list of id ranges")
    found = {}
    for uuid, pair in content["ranges"].items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, int) and each > 0 for each in pair)):
            raise ValueError(f"{pair} is no range of ids")
        found[UUID(uuid)] = range(pair[0], pair[0] + pair[1])
    ordered = sorted(found.values(), key=lambda ids: ids.start)
    for lower, upper in pairwise(ordered):
        if lower.stop > upper.start:
            raise ValueError(f"two domains have the ids from {upper.start}")
    return found


def _busy_slots(pool: range, taken: Sequence[range]) -> frozenset[int]:
    """Return the slots of a pool that a taken range touches."""
    busy: set[int] = set()
    for each in taken:
        touched = common(pool, each)
        if touched:
            busy.update(range((touched.start - pool.start) // SIZE, (touched.stop - 1 - pool.start) // SIZE + 1))
    return frozenset(busy)


def _first_slot(prefix: Path, count: int) -> int:
    """Return where the search begins: the system at the start, others somewhere in the upper half."""
    if prefix == Layout().prefix or count < 2:
        return 0
    half = count // 2
    return count - half + zlib.crc32(os.fsencode(prefix)) % half


def _is_mapped(ids: range, mapped: Sequence[range]) -> bool:
    return any(each.start <= ids.start and ids.stop <= each.stop for each in mapped)


def _has_a_name(first: int) -> bool:
    """Return whether a user or group of the host has the first id; a directory service may give out any."""
    for lookup in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            lookup(first)
            return True
    return False
