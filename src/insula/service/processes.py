"""The processes of a guest, as the host sees them: which there are, whose, and what they take."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from insula.engine.look.looking import Sight
from insula.engine.spec import IdMap
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError, OperationTimeoutError
from insula.service.containers import Looking
from insula.service.guest import guest_processes
from insula.service.managed import ManagedDomain

LOOKED_AT = 1024
"""Processes whose words are read; of more, the others are told by their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestTask:
    """A process. pid, parent, user: as the guest has them, parent None for one of the host's, user None for an id that
    the guest has not; cpu_time: nanoseconds; memory: resident bytes; begun: nanoseconds since 1970; command: its words,
    or its name in brackets."""

    pid: int
    host_pid: int
    parent: int | None
    user: int | None
    state: str
    cpu_time: int
    memory: int
    begun: int
    command: str


class ProcessVerbs:
    """Looks at guests' processes."""

    def __init__(self, looker: Looking) -> None:
        self._looker = looker

    async def processes(self, managed: ManagedDomain) -> list[dict[str, Any]]:
        """Return the guest's processes by pid, as JSON values. Raises: OperationInvalidError if it does not run."""
        container = managed.require_run().container
        spec = container.record.spec
        found = await in_own_thread(lambda: _read(container.pid, container.group.processes(), spec.idmap))
        sight = Sight(whose=container.uuid, name=f"domain '{managed.name}'")
        words: dict[str, str] = {}
        with suppress(OSError, OperationTimeoutError, OperationFailedError):
            arguments = {"pids": [each.host_pid for each in found[:LOOKED_AT]]}
            words = await self._looker.look(sight, "read-commands", arguments, {})
        return [asdict(each) | {"command": words.get(str(each.host_pid), each.command)} for each in found]


def _read(init: int, pids: Sequence[int], idmap: IdMap | None) -> list[GuestTask]:
    """Those of pids that live in init's pid namespace; what is read here never waits for the guest."""
    pairs = {each.host_pid: each.guest_pid for each in guest_processes(init, pids)}
    tasks = []
    for host, guest in pairs.items():
        with suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{host}/stat", "rb") as file:
                stat = file.read()
            tasks.append(_task(stat, host, guest, pairs, _user(os.stat(f"/proc/{host}").st_uid, idmap)))
    return sorted(tasks, key=lambda each: each.pid)


def _task(stat: bytes, host: int, guest: int, pairs: dict[int, int], user: int | None) -> GuestTask:
    """Source: proc_pid_stat(5); the name may hold anything, also a bracket."""
    name, _, rest = stat.rpartition(b")")
    fields = rest.split()  # from the third on
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    since_boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return GuestTask(
        pid=guest,
        host_pid=host,
        parent=pairs.get(int(fields[1])),
        user=user,
        state=fields[0].decode(),
        cpu_time=(int(fields[11]) + int(fields[12])) * (1_000_000_000 // ticks),
        memory=int(fields[21]) * page,
        begun=time.time_ns() - since_boot + int(fields[19]) * (1_000_000_000 // ticks),
        command=f"[{name.partition(b'(')[2].decode(errors='replace')}]",
    )


def _user(uid: int, idmap: IdMap | None) -> int | None:
    """What the guest calls a user of the host."""
    if idmap is None:
        return uid
    return next(
        (each.inside + uid - each.outside for each in idmap.uids if each.outside <= uid < each.outside + each.count),
        None,
    )
