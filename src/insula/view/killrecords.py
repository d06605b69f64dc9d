"""What the host's kernel log tells of a guest: whom the kernel killed in it for want of memory, in the guest's words.

The kernel says so in up to three records. They name the guest by its control group and by the killed program's user;
which of both counts depends on the guest, as its programs may choose names of groups below their own, and of
themselves. An unprivileged guest is known by its range of users, a privileged one by its group; where the two name two
guests, since a privileged one has every user, nobody is told. Numbers of processes become the guest's own where the
process is still to be seen, else 0; users become the guest's; groups are cut to what it sees of them. Nothing else is
told to any guest.
Source: `dump_oom_victim`, `__oom_kill_process` and `oom_reap_task` in the kernel's oom_kill.c.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from insula.kernel.cgroups.group import PAYLOAD
from insula.view.viewedfiles import ViewedGuest, ViewedIds

_CHOSEN = re.compile(
    r"oom-kill:constraint=(\w+),nodemask=([^,]*),cpuset=.*?,mems_allowed=([\d,-]*),"
    r"(?:oom_memcg=(/.*?)|global_oom),task_memcg=(.*),task=(.*),pid=(\d+),uid=(\d+)$"
)
_KILLED = re.compile(r"(Memory cgroup out of memory|Out of memory.*?): Killed process (\d+) \((.*)\) (total-vm:.*)$")
_USER = re.compile(r" UID:(\d+) ")
_REAPED = re.compile(r"oom_reaper: reaped process (\d+) \((.*)\), now (.*)$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_REMEMBERED = 64
"""Victims of which the last record has not come yet."""


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A record of the host's kernel log, of the kernel's own."""

    sequence: int
    priority: int
    text: str


def host_record(data: bytes) -> HostRecord | None:
    """Return what /dev/kmsg gave, if the kernel itself said it, not a program."""
    head, _, rest = data.partition(b";")
    words = head.split(b",")
    if len(words) < 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[0]) >> 3:
        return None
    text = rest.partition(b"\n")[0].decode("utf-8", "replace")
    return HostRecord(int(words[1]), int(words[0]), _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text))


@dataclass(frozen=True, slots=True)
class ToldKill:
    """A line for the log of the guest with this launch."""

    launch: str
    sequence: int
    priority: int
    text: str


class KillRecords:
    """Takes the host's records in their order. inner_pid: gives a process' number in its own namespace, 0 if it has
    ended."""

    def __init__(self, inner_pid: Callable[[int], int]) -> None:
        self._inner_pid = inner_pid
        self._victims: OrderedDict[int, tuple[str, int]] = OrderedDict()
        """By the host's pid: whose it was, and its number inside."""

    def take(self, record: HostRecord, guests: Iterable[ViewedGuest]) -> ToldKill | None:
        """Return what a record tells a guest, None if it tells none of these."""
        if "oom" not in record.text and "Killed process" not in record.text:
            return None
        known = tuple(guests)
        told = self._chosen(record.text, known) or self._killed(record.text, known) or self._reaped(record.text)
        return None if told is None else ToldKill(told[0], record.sequence, record.priority, told[1])

    def _chosen(self, text: str, guests: tuple[ViewedGuest, ...]) -> tuple[str, str] | None:
        found = _CHOSEN.fullmatch(text)
        if found is None:
            return None
        constraint, nodes, memory, limited, group, task, pid, uid = found.groups()
        guest = _owner(guests, int(uid), group)
        if guest is None:
            return None
        number = self._remember(int(pid), guest.launch)
        whose = "global_oom" if limited is None else f"oom_memcg={_inside(limited, guest)}"
        return guest.launch, (
            f"oom-kill:constraint={constraint},nodemask={nodes},cpuset=/,mems_allowed={memory},{whose},"
            f"task_memcg={_inside(group, guest)},task={task},pid={number},uid={_inner(guest.uids, int(uid))}"
        )

    def _killed(self, text: str, guests: tuple[ViewedGuest, ...]) -> tuple[str, str] | None:
        found = _KILLED.fullmatch(text)
        if found is None:
            return None
        what, pid, name, rest = found[1], int(found[2]), found[3], found[4]
        user = _USER.search(rest)
        if user is None:
            return None
        uid = int(user[1])
        guest = _owner(guests, uid, None)
        launch, number = self._victims.get(pid, ("", 0))
        if guest is None:
            # A privileged guest's: the record before has said which.
            guest = next((each for each in guests if each.launch == launch and not each.uids), None)
            if guest is None:
                return None
        elif any(each.launch == launch and not each.uids for each in guests):
            return None
        if launch != guest.launch:
            number = self._remember(pid, guest.launch)
        rest = _USER.sub(f" UID:{_inner(guest.uids, uid)} ", rest)
        return guest.launch, f"{what}: Killed process {number} ({name}) {rest}"

    def _reaped(self, text: str) -> tuple[str, str] | None:
        found = _REAPED.fullmatch(text)
        victim = None if found is None else self._victims.pop(int(found[1]), None)
        if found is None or victim is None:
            return None
        return victim[0], f"oom_reaper: reaped process {victim[1]} ({found[2]}), now {found[3]}"

    def _remember(self, pid: int, launch: str) -> int:
        number = self._inner_pid(pid)
        self._victims[pid] = (launch, number)
        self._victims.move_to_end(pid)
        while len(self._victims) > _REMEMBERED:
            self._victims.popitem(last=False)
        return number


def _owner(guests: tuple[ViewedGuest, ...], uid: int, group: str | None) -> ViewedGuest | None:
    by_user = next((guest for guest in guests if _has(guest, uid)), None)
    if group is None:
        return by_user
    privileged = (guest for guest in guests if not guest.uids)
    by_group = next((guest for guest in privileged if f"{group}/".startswith(f"/{guest.group}/")), None)
    return by_group or by_user if by_group is None or by_user is None else None


def _has(guest: ViewedGuest, uid: int) -> bool:
    return any(0 <= uid - each.outside < each.count for each in guest.uids)


def _inner(ids: tuple[ViewedIds, ...], uid: int) -> int:
    return next((each.inside + uid - each.outside for each in ids if 0 <= uid - each.outside < each.count), uid)


def _inside(group: str, guest: ViewedGuest) -> str:
    """Return a group as the guest has it: below its own root, `/` for that and all above."""
    for top in (f"/{guest.group}/{PAYLOAD}", f"/{guest.group}"):
        if f"{group}/".startswith(f"{top}/"):
            return group[len(top) :] or ROOT
    return ROOT


ROOT: Final = "/"
