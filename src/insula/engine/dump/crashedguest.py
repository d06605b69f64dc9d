"""Whose a process is that crashes: a guest's, by the label of the control group that it is in, or the host's own.

It is asked at each crash on the host, so it reads no more of a label than it needs, and imports little.
"""

import json
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies, facts_on, groups_of
from insula.kernel.namespacetree import is_below
from insula.kernel.process import start_time

_KEEPER = "insula-keeper"
_PARENTS_MAX = 4096
LABEL_PATIENCE = 10.0
"""Seconds within which a guest that has begun is told of by its group."""
_PAUSE = 0.05
_SIZE_MAX = 1 << 20
"""Bytes of a label: as in `launch.guestlabels`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrashedGuest:
    """data: the guest's record, as `ContainerRecord.encode` made it; init: its pid."""

    data: Mapping[str, Any]
    group: Cgroup
    init: int

    @property
    def spec(self) -> Mapping[str, Any]:
        return dict(self.data["spec"])


def guest_of(pid: int, hierarchies: Hierarchies) -> CrashedGuest | None:
    """Return the guest that a process is of, None for one of the host's.

    One that crashes as its guest begins is waited for: the label comes once the guest runs.
    Raises: OperationFailedError for one that is a guest's, though not known whose; OSError if it is gone.
    """
    deadline = time.monotonic() + LABEL_PATIENCE
    while (guest := _labelled(pid, hierarchies)) is None and _has_keeper(pid):
        if time.monotonic() >= deadline:
            raise OperationFailedError("a keeper is its ancestor, and no group tells of what guest")
        time.sleep(_PAUSE)
    return guest


def _labelled(pid: int, hierarchies: Hierarchies) -> CrashedGuest | None:
    for path in dict.fromkeys(groups_of(pid).values()):
        parts = path.split("/")
        for length in range(len(parts), 0, -1):
            group = Cgroup(hierarchies, "/".join(parts[:length]))
            facts = facts_on(group)
            if facts is not None:
                return _confirmed(pid, _guest(group, facts))
    return None


def _guest(group: Cgroup, facts: bytes) -> CrashedGuest:
    try:
        data = json.loads(zlib.decompressobj().decompress(facts, _SIZE_MAX))["record"]
        # By its end: a daemon in a control group namespace of its own knows groups by shorter paths.
        if not f"/{group.path}".endswith(f"/{data['group']}") or not isinstance(data["spec"]["name"], str):
            raise ValueError("it is about another group")
        return CrashedGuest(data=data, group=group, init=int(data["pid"]))
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperationFailedError(f"the label of its group '{group.path}' makes no sense: {error}") from error


def _confirmed(pid: int, guest: CrashedGuest) -> CrashedGuest:
    """Return the guest if it runs, and the process is inside. Raises: OperationFailedError."""
    try:
        known = start_time(guest.init) == guest.data.get("born") and _boot() == guest.data.get("boot")
    except (FileNotFoundError, ProcessLookupError):
        known = False
    if not known or not _is_inside(pid, guest.init):
        raise OperationFailedError(f"it is in the group of '{guest.spec['name']}', and not in its namespaces")
    return guest


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _is_inside(pid: int, init: int) -> bool:
    """Whether a process is in the PID namespace of a guest's init, or of a container inside."""
    found = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return is_below(found, f"/proc/{init}/ns/pid")
    finally:
        os.close(found)


def _has_keeper(pid: int) -> bool:
    """Whether an ancestor is a keeper: where the kernel keeps no labels, guests are known by that alone."""
    for _ in range(_PARENTS_MAX):
        try:
            with open(f"/proc/{pid}/stat", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except OSError:
            return False
        pid = int(rest.split()[1])
        if name == _KEEPER[:15]:
            return True
        if pid <= 1:
            return False
    return False
