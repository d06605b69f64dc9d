"""The kernel's own messages, as they come, and whom it says it has killed for want of memory.

Source: kernel document `ABI/testing/dev-kmsg`; `dump_oom_victim` and `__oom_kill_process` in the kernel's oom_kill.c.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from insula.kernel.fds import Fd

PATH = "/dev/kmsg"
_RECORD = 8192
_MOST = 100_000
"""Records that are read at once: more than any kernel keeps."""
_CHOSEN = re.compile(r"oom-kill:.*?,(?:oom_memcg|global_oom,task_memcg)=(/.*),task=.*,pid=(\d+),uid=\d+$")
"""The first group that is named: no name before it, not that of a cpuset either, has a slash."""
_GROUP_OF_TASK = ",task_memcg="
_KILLED = re.compile(r"Killed process (\d+) \((.*)\) total-vm:.* UID:(\d+) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class OomVictim:
    """A process that was killed for want of memory. pid, uid: the host's; name: of its program, as it chose it; group:
    its path in the memory controller's hierarchy, None where the kernel did not say. Of groups that a guest named like
    the line around them, it may end early, or in what the guest chose: it begins with what the guest did not choose."""

    pid: int
    name: str
    uid: int
    group: str | None = None


class KernelLog:
    """What the kernel says from now on. Raises: OSError where it may not be read."""

    def __init__(self, path: str = PATH) -> None:
        self._fd = Fd(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        os.lseek(self._fd, 0, os.SEEK_END)

    def take(self) -> list[str]:
        """Return what the kernel has said since the last time; not what programs have written into its log."""
        texts: list[str] = []
        for _ in range(_MOST):
            try:
                record = os.read(self._fd, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records that were overwritten before they were read
            if not record:
                break
            head, _, text = record.decode("utf-8", "replace").partition(";")
            if int(head.partition(",")[0]) >> 3 == 0:
                texts.append(text.partition("\n")[0])
        return texts

    def close(self) -> None:
        os.close(self._fd)


def oom_victims(texts: Iterable[str]) -> list[OomVictim]:
    """Return who was killed, in order. Under a flood of kills the kernel leaves out which group they were in."""
    groups: dict[int, str] = {}
    victims: list[OomVictim] = []
    for text in texts:
        if (found := _CHOSEN.match(text)) is not None:
            groups[int(found[2])] = _group_of(found[1]).replace(r"\x5c", "\\")
        elif (found := _KILLED.search(text)) is not None:
            pid = int(found[1])
            victims.append(OomVictim(pid=pid, name=found[2], uid=int(found[3]), group=groups.pop(pid, None)))
    return victims


def _group_of(named: str) -> str:
    """Return the victim's group. named: all that the kernel says from the group whose limit was met up to the program:
    the victim's is that one, or below it, and without a limit there is the victim's alone."""
    limited, _, rest = named.partition(_GROUP_OF_TASK)
    group = rest.partition(_GROUP_OF_TASK)[0].partition(",task=")[0]
    return group if f"{group}/".startswith(f"{limited.rstrip('/')}/") else limited.partition(",task=")[0]
