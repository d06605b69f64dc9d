"""The program that a host's core_pattern may name: it keeps a guest's cores in that guest, and nowhere on the host.

    kernel.core_pattern = |/usr/libexec/insula-coredump %P %u %g %s %t %c %h %d %I %F

The kernel starts it (`crashentry`) as the host's root, with the core as its standard input, for every process that
crashes; the one that does waits meanwhile. A guest's core is kept where its definition says, by a look that became that
guest's root, or it is dropped. What is a guest's and cannot be kept is dropped too. All others go the way that they
went before.
"""

import fcntl
import os
import syslog
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insula.engine.coreplace import expanded
from insula.engine.dump.crash import Crash, is_dumping, pids_of
from insula.engine.dump.crashedguest import CrashedGuest, guest_of
from insula.engine.dump.crashgroup import NoPlaceError, join_group
from insula.engine.dump.formerhandler import FormerHandler
from insula.errors import InsulaError, OperationFailedError
from insula.kernel.cgroups import Hierarchies
from insula.kernel.fds import Fd, close_all
from insula.model.visible import visible

if TYPE_CHECKING:
    from insula.engine.spec import IdRange

FORMER = FormerHandler(
    own=Path("/etc/insula/host-core-pattern"),
    packaged=(Path("/usr/lib/sysctl.d/50-coredump.conf"), Path("/lib/sysctl.d/50-coredump.conf")),
)
_PATIENCE = 600.0
"""Seconds for a core: a guest's own file system may take as long as it likes."""
_TURN = 5.0
"""Seconds that a core waits for the one before it, of the same guest."""
_PAUSE = 0.05
_NAME_MAX = 240


class CrashDispatcher:
    """Dispatches one crash. dumping: whether a process crashes at this moment; place: what holds a place of the guest's
    whose group this process has joined (`crashgroup`), None if it has joined none yet."""

    def __init__(
        self,
        *,
        hierarchies: Hierarchies,
        former: FormerHandler = FORMER,
        dumping: Callable[[int], bool] = is_dumping,
        place: int | None = None,
    ) -> None:
        self._hierarchies = hierarchies
        self._former = former
        self._dumping = dumping
        self._place = place

    def dispatch(self, crash: Crash, stream: Fd) -> str:
        """Return what became of a core, in words; a program of the host's takes our place for one of the host's.

        Raises: InsulaError, OSError: it was dropped.
        """
        pidfd = os.pidfd_open(crash.pid) if crash.pidfd is None else os.dup(crash.pidfd)
        try:
            # Behind the pidfd: a number that is another process's by now is of one that does not crash.
            if not self._dumping(crash.pid):
                raise OperationFailedError("it is no more: set kernel.core_pipe_limit, so that the kernel waits for us")
            guest = guest_of(crash.pid, self._hierarchies)
            if guest is None:
                return f"kept at {self._former.take(crash, stream, pidfd)}"
            return self._kept_inside(crash, stream, guest)
        finally:
            os.close(pidfd)

    def _kept_inside(self, crash: Crash, stream: Fd, guest: CrashedGuest) -> str:
        whose = f"domain '{guest.spec['name']}'"
        place = guest.spec.get("core_dumps")
        most = 0 if place is None else _least(place["most"], crash.limit)
        if not most:
            return f"dropped: {whose} keeps none" + (" (its limit is 0)" if place is not None else "")
        if self._place is None:  # the guest has told who it is by now
            self._place = _joined(crash.pid)
        init = os.pidfd_open(guest.init)
        try:
            turn = _turn_of(guest)
            try:
                found = _looked(crash, stream, guest, init, most)
            finally:
                os.close(turn)
        finally:
            os.close(init)
        cut = ", cut" if found["cut"] else ""
        return f"kept in {whose} as {found['name']} ({found['size']} bytes{cut})"


def _looked(crash: Crash, stream: Fd, guest: CrashedGuest, init: int, most: int) -> Mapping[str, Any]:
    """Have a look keep a core. Raises: InsulaError, OSError."""
    # Here, since most crashes come to nothing: what they cost the host is the time that these take.
    from insula.engine.enter.attachment import group_fds
    from insula.engine.launch.runningcontainer import ContainerRecord
    from insula.engine.look.looking import Sight
    from insula.engine.look.privatelooker import PrivateLooker
    from insula.engine.look.visiting import stayed_in

    spec = ContainerRecord.decode(dict(guest.data)).spec
    place, numbers = spec.core_dumps, pids_of(crash.pid)
    if place is None:
        raise OperationFailedError("its guest keeps none")
    uids, gids = (spec.idmap.uids, spec.idmap.gids) if spec.idmap is not None else ((), ())
    uid, gid = _inside(uids, crash.uid), _inside(gids, crash.gid)
    path = expanded(place.pattern, crash.values(uid=uid, gid=gid, pid=numbers[1] if len(numbers) > 1 else crash.pid))
    directory, _, name = path.rpartition("/")
    arguments = {
        "pid": guest.init,
        "namespaces": stayed_in(spec),
        "path": f"{directory}/{name.encode()[:_NAME_MAX].decode(errors='ignore')}",
        "most": most,
        "uid": 0 if crash.private else uid,
        "gid": 0 if crash.private else gid,
    }
    looker, fds = PrivateLooker(), group_fds(guest.group)
    try:
        sight = Sight(whose=spec.uuid, name=f"domain '{spec.name}'")
        return dict(
            looker.look(sight, "take-core", arguments, {"init": init, "stream": stream, **fds}, seconds=_PATIENCE)
        )
    finally:
        looker.close()
        close_all(fds.values())


def _least(most: int, limit: int | None) -> int:
    return most if limit is None else min(most, limit)


def _inside(ranges: "Sequence[IdRange]", outside: int) -> int:
    """Return the guest's number for a host's id; root's for one that it has not, and without ranges the same."""
    if not ranges:
        return outside
    found = (each.inside + outside - each.outside for each in ranges if 0 <= outside - each.outside < each.count)
    return next(found, 0)


def _joined(pid: int) -> int | None:
    """See `join_group`. Raises: OperationFailedError, OSError."""
    try:
        return join_group(pid)
    except NoPlaceError as error:
        raise OperationFailedError(str(error)) from error


def _turn_of(guest: CrashedGuest) -> int:
    """Return what holds a guest's turn: its cores are taken one by one, so that it fills no room for those of others.

    Raises: OperationFailedError for one that would wait for long.
    """
    lock = os.open(guest.group.directories[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _TURN
        while not _locked(lock):
            if time.monotonic() >= deadline:
                raise OperationFailedError("another core of this guest is being kept")
            time.sleep(_PAUSE)
        return lock
    except BaseException:
        os.close(lock)
        raise


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(words: Sequence[str], place: int | None) -> int:
    """Take the core at standard input; what becomes of it stands in the host's log. Returns 0, or 1 if it is lost.

    words: the kernel's; place: see `CrashDispatcher`.
    """
    syslog.openlog("insula-coredump", syslog.LOG_PID, syslog.LOG_DAEMON)
    who = "a process"
    try:
        crash = Crash.of(words)
        who = f"process {crash.pid} ({visible(crash.name)}), signal {crash.signal}"
        said = CrashDispatcher(hierarchies=Hierarchies.detect(), place=place).dispatch(crash, Fd(0))
    except (InsulaError, OSError) as error:
        with suppress(OSError):
            syslog.syslog(syslog.LOG_WARNING, f"{who}: its core is dropped: {visible(str(error))}")
        return 1
    syslog.syslog(syslog.LOG_INFO, f"{who}: its core is {visible(said)}")
    return 0
