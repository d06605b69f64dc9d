"""Who in a guest uses a mount or a device node, by what the kernel tells of its processes.

No name is looked up in the guest's tree. A process' memory map can be waited for, though (another of its threads may be
held by a page of a file system that never answers), so this is a look. Sources: proc_pid_fdinfo(5),
proc_pid_mountinfo(5), proc_pid_maps(5).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from insula.kernel.fds import Fd
from insula.kernel.mountinfo import Mount, mounts_of_process

HOLDERS_MAX = 16
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
_LINKS = {"cwd": "its working directory", "root": "its root", "exe": "its program"}


def find_holders(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """init, pids: of the host; place: a path of the guest's without links; device: the numbers of a node, such as 8:0,
    None for a mount → holders: of each process that uses what is there its pid, name and how; below: how many mounts
    are in the mount at the place, or of the device. At most `HOLDERS_MAX` are told."""
    del fds
    init, place, device = int(arguments["init"]), str(arguments["place"]), arguments["device"]
    own = mounts_of_process(init)
    tops = [each for each in own if each.point == place]
    groups = frozenset[str]().union(*(_groups(each) for each in tops))
    below = _below(own, {each.id for each in tops})
    if device is not None:
        below = {each.id for each in own if each.device == device}
    spaces: dict[str, set[int]] = {}
    holders: list[list[Any]] = []
    for pid in arguments["pids"]:
        with suppress(*_GONE):
            space = os.readlink(f"/proc/{pid}/ns/mnt")
            if space not in spaces:
                mounts = mounts_of_process(pid)
                there = {each.id for each in mounts if each.point == place or _groups(each) & groups}
                spaces[space] = there | _below(mounts, there)
            how = next(_uses(int(pid), place, set() if device is not None else spaces[space]), None)
            if how is not None:
                holders.append([pid, Path(f"/proc/{pid}/comm").read_text(errors="replace").strip(), how])
        if len(holders) >= HOLDERS_MAX:
            break
    return {"holders": holders, "below": len(below)}


def _uses(pid: int, place: str, mounts: set[int]) -> Iterator[str]:
    """Yield how a process uses what is at a place, or one of the mounts."""
    for name, words in _LINKS.items():
        with suppress(*_GONE):
            if _is_at(os.readlink(f"/proc/{pid}/{name}"), place):
                yield words
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(*_GONE):
            path = os.readlink(f"/proc/{pid}/fd/{number}")
            if (_mount_of(pid, number) in mounts) if mounts else _is_at(path, place):
                yield f"{path} is open"
    with suppress(*_GONE), open(f"/proc/{pid}/maps", errors="replace") as lines:
        for mapped in lines:
            fields = mapped.rstrip("\n").split(maxsplit=5)
            if len(fields) > 5 and _is_at(fields[5], place):
                yield f"{fields[5]} is in its memory"


def _mount_of(pid: int, number: str) -> int | None:
    with open(f"/proc/{pid}/fdinfo/{number}") as lines:
        for line in lines:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    return None


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")


def _groups(mount: Mount) -> frozenset[str]:
    """Return the groups of peers that a mount is in, or gets mounts from."""
    return frozenset(each.partition(":")[2] for each in mount.tags if each.startswith(("shared:", "master:")))


def _below(mounts: list[Mount], tops: set[int]) -> set[int]:
    """Return the ids of what is mounted in mounts of these ids, at any depth; a parent may stand behind its child."""
    found: set[int] = set()
    while more := {each.id for each in mounts if each.parent in tops | found} - found - tops:
        found |= more
    return found
