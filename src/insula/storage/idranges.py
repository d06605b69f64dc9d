"""Which domain has which ids of the host: the same ones for as long as it is defined, and no two domains the same.

Kept in one file (`storage.idjournal`), under a lock that every process of the installation takes. Losing it costs
little: guests' files are stored unshifted, so a domain that gets other ids finds everything as it was. Two running
guests must never share ids; so those of every running user namespace, whoever made it, count as taken.

To find those means to look at every process of the host, which takes longer the more guests there are. So it is done
once for all that are given out within some seconds, and right before ids are given out the kernel is asked whether it
knows them: it answers at once, without looking at any process, where no process has them. What a guest's users may
give away no process needs to have: a root before them that the look has not seen is a reason to look again.

Several installations on one host (prefixes) know nothing of each other's files. They begin their search at places that
their prefixes determine, all avoid the ids that the system's own installation has given out, and see each other's
running guests as everybody's.
"""

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from insula.engine.spec import IdMap, IdRange
from insula.errors import OperationFailedError
from insula.kernel.durable import sweep
from insula.layout import Layout
from insula.storage.idjournal import IdJournal, read_former
from insula.storage.idpools import (
    SIZE,
    SUBORDINATE_FIRST,
    SUBORDINATE_MOST,
    common,
    has_process,
    has_root,
    mapped_here,
    others_subordinate_ids,
    pools,
    running_maps,
    usual_subordinate_ids,
)
from insula.storage.idslots import SlotSearch

FILE = "idranges.jsonl"
FORMER_FILE = "idranges.json"
"""What insulad wrote before it kept a line a change; taken over, and removed, by whoever first reads."""
_LOCK = "idranges.lock"
LOOK_AGAIN = 10.0
"""Seconds that a look at all processes holds for; what begins meanwhile the kernel is asked about."""

_log = logging.getLogger(__name__)


class IdRanges:
    """The ids of an installation's domains.

    recover: asked once when the file turns out broken: what the definitions and the running domains say. listed: ids
    that are written down as somebody else's; running: those of every user namespace that has a process; known: whether
    the kernel knows of a process with ids of this range; root: whether of one with this id.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        recover: Callable[[], Mapping[UUID, IdMap]] = dict,
        pools: Callable[[], Sequence[range]] = pools,
        listed: Callable[[], Sequence[range]] = others_subordinate_ids,
        running: Callable[[], Sequence[range]] = running_maps,
        known: Callable[[range], bool] = has_process,
        root: Callable[[int], bool] = has_root,
        mapped: Callable[[], Sequence[range]] = mapped_here,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._recover = recover
        self._pools = pools
        self._listed = listed
        self._running = running
        self._in_use = known
        self._has_root = root
        self._mapped = mapped
        self._clock = clock
        self._here: Sequence[range] | None = None
        self._journal = IdJournal(self.path)
        self._lock_path = layout.state / _LOCK
        self._is_systems = layout == Layout.system()
        self._systems_journal = IdJournal(Layout.system().state / FILE)
        self._searches: dict[int, SlotSearch] = {}
        """By how many times `SIZE` they look for."""
        self._looked: tuple[float, Sequence[range]] | None = None
        """When all processes were looked at, and the ids they had."""

    @property
    def path(self) -> Path:
        return self._layout.state / FILE

    def find(self, uuid: UUID) -> IdMap | None:
        """Return a domain's ids, None if it has none yet."""
        with self._locked():
            found = self._read().get(uuid)
        return None if found is None else map_of(found)

    def allocate(self, uuid: UUID, subordinate: int | None = None, *, idle: bool = False) -> IdMap:
        """Return a domain's ids, giving it some if it has none. They are its own until `release`.

        subordinate: how many ids beside the first ones it wants for containers of its users, times `SIZE`; None is as
        many as there usually are. idle: the domain does not run, so that it can be given others if it wants more.
        Raises: OperationFailedError if there are none left, or the file cannot be written.
        """
        with self._locked():
            given = self._read()
            found = given.get(uuid)
            if found is None or (idle and not fits(map_of(found), subordinate)):
                found = self._give(uuid, given.values(), subordinate)
        return map_of(found)

    def release(self, uuid: UUID) -> None:
        """Let others have a domain's ids; no error if it has none. The domain must be gone."""
        with self._locked():
            if uuid in self._read():
                self._change(uuid, None)

    def keep_only(self, uuids: Collection[UUID]) -> None:
        """Let others have the ids of all domains but these. The others must be gone.

        What a killed daemon left half written goes, too.
        """
        with self._locked():
            sweep(self._layout.state)
            given = self._read()
            kept = {uuid: ids for uuid, ids in given.items() if uuid in uuids}
            if kept != given:
                self._rewrite(kept)

    def _give(self, uuid: UUID, given: Collection[range], subordinate: int | None) -> range:
        """Give a domain ids that nobody has; fewer than usual where there are no more."""
        pools = tuple(self._pools())
        usual = usual_subordinate_ids(pools, len(given)) if subordinate is None else subordinate
        ids = self._given(uuid, given, pools, 1 + usual // SIZE)
        if ids is None and subordinate is None and usual:
            ids = self._given(uuid, given, pools, 1)
        if ids is None:
            raise OperationFailedError(
                f"no range of {SIZE + (subordinate or 0)} ids is free for another domain; give Insula more in "
                "/etc/subuid and /etc/subgid, for the user 'insula', or write an <idmap>"
            )
        return ids

    def _given(
        self, uuid: UUID, given: Collection[range], pools: tuple[range, ...], width: int, *, again: bool = True
    ) -> range | None:
        """Give a domain ids that nobody has. What was passed by to find them is passed by at once the next time, until
        something changes but for what we give out. again: look once more where somebody may have come since."""
        listed, running, systems = tuple(self._listed()), self._others_running(), self._systems()
        seen = pools, listed, self._looked, self._systems_journal.mark
        search = self._searches.setdefault(width, SlotSearch(begin=self._begin, width=width))
        for ids in search.resume((seen, self._journal.mark), pools, lambda: [*given, *listed, *running, *systems]):
            if not _is_mapped(ids, self._ids_here()) or self._in_use(ids) or _has_a_name(ids.start):
                continue
            if again and self._may_be_behind_a_root(ids, {each.start for each in (*given, *running, *systems)}):
                self._looked = None
                return self._given(uuid, given, pools, width, again=False)
            self._change(uuid, ids)
            search.keep((seen, self._journal.mark))
            return ids
        return None

    def _may_be_behind_a_root(self, ids: range, known: Collection[int]) -> bool:
        """Return whether a guest that the look has not seen may have ids for its users here, which no process has."""
        before = range(max(0, ids.start - SUBORDINATE_MOST), ids.start, SIZE)
        return any(first not in known and self._has_root(first) for first in before)

    def _begin(self, count: int) -> int:
        return 0 if self._is_systems else _first_slot(self._layout, count)

    def _ids_here(self) -> Sequence[range]:
        """The ids of our own user namespace, which are the same for as long as we live. Source: user_namespaces(7)."""
        if self._here is None:
            self._here = self._mapped()
        return self._here

    def _others_running(self) -> Sequence[range]:
        now = self._clock()
        if self._looked is None or not self._looked[0] <= now < self._looked[0] + LOOK_AGAIN:
            self._looked = now, self._running()
        return self._looked[1]

    def _systems(self) -> Collection[range]:
        """Return what the system's own installation has given out, as far as it lets us see. Raises: OSError."""
        if self._is_systems:
            return ()
        try:
            return self._systems_journal.read().values()
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
            return ()

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
        path = self._lock_path
        try:
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                self._layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise OperationFailedError(f"the ids of domains cannot be looked up: {error}") from error
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def _read(self) -> Mapping[UUID, range]:
        try:
            return self._journal.read()
        except FileNotFoundError:
            return self._taken_over()
        except OSError as error:
            # It may be whole, and be read the next time: beginning anew would give one guest's ids to another.
            raise OperationFailedError(f"the ids of domains cannot be read: {error}") from error
        except ValueError as error:
            return self._rebuilt(error)

    def _taken_over(self) -> Mapping[UUID, range]:
        """Return what the file of the former format says, written down anew; nothing where there is none."""
        former = self._layout.state / FORMER_FILE
        try:
            given = read_former(former)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise OperationFailedError(f"the ids of domains cannot be read: {error}") from error
        except ValueError as error:
            return self._rebuilt(error)
        try:
            self._rewrite(given)
        except OperationFailedError as error:
            _log.warning("%s: %s is read as it is", error, former)  # whoever changes something is refused
        else:
            with contextlib.suppress(OSError):
                former.unlink()
        return given

    def _rebuilt(self, error: Exception) -> Mapping[UUID, range]:
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
        self._rewrite(given)
        return given

    def _change(self, uuid: UUID, ids: range | None) -> None:
        try:
            if not self.path.exists():
                self._journal.rewrite(self._read())
            self._journal.append(uuid, ids)
        except OSError as error:
            raise OperationFailedError(f"the ids of domains cannot be kept: {error}") from error

    def _rewrite(self, given: Mapping[UUID, range]) -> None:
        try:
            commit = self._journal.rewrite(given)
        except OSError as error:
            raise OperationFailedError(f"the ids of domains cannot be kept: {error}") from error
        if commit.unsynced is not None:
            _log.warning("the ids of domains are written down, but %s", commit)


def map_of(ids: range) -> IdMap:
    """Return the maps that show ids to a guest: the first as 0 and up, the others as its users' to give away."""
    own, more = ids[:SIZE], ids[SIZE:]
    whole = [IdRange(inside=0, outside=own.start, count=len(own))]
    if more:
        whole.append(IdRange(inside=SUBORDINATE_FIRST, outside=more.start, count=len(more)))
    return IdMap(uids=tuple(whole), gids=tuple(whole))


def _own_range(idmap: IdMap) -> range | None:
    """Return the ids of a map that `map_of` made, None for one that an administrator wrote."""
    count = sum(each.count for each in idmap.uids)
    if not count or count % SIZE:
        return None
    ids = range(idmap.uids[0].outside, idmap.uids[0].outside + count)
    return ids if map_of(ids) == idmap else None


def fits(idmap: IdMap, subordinate: int | None) -> bool:
    """Return whether ids that `IdRanges` gave to a domain are as many as it wants; see `IdRanges.allocate`."""
    return subordinate is None or sum(each.count for each in idmap.uids) == SIZE + subordinate


def _first_slot(layout: Layout, count: int) -> int:
    """Return where in a pool the search of an installation that is not the system's begins: in the upper half."""
    if count < 2:
        return 0
    half = count // 2
    return count - half + zlib.crc32(os.fsencode(layout.root)) % half


def _is_mapped(ids: range, mapped: Sequence[range]) -> bool:
    return any(each.start <= ids.start and ids.stop <= each.stop for each in mapped)


def _has_a_name(first: int) -> bool:
    """Return whether a user or group of the host has the first id; a directory service may give out any."""
    for lookup in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            lookup(first)
            return True
    return False
