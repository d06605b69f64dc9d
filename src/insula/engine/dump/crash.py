"""A process that crashes, as the kernel hands it to the program that its core_pattern names: core(5)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from insula.errors import InvalidArgumentError

ARGUMENTS = "%P %u %g %s %t %c %h %d %I %F"
"""What stands behind the program in kernel.core_pattern. %F, the process's pidfd, is empty before Linux 6.16."""
_RLIM_INFINITY = 2**64 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Crash:
    """pid, tid, uid, gid: the host's numbers; limit: RLIMIT_CORE in bytes, None for none; hostname: of its UTS
    namespace; private: others than root may not read what it had in memory (a program that changed its ids); pidfd: of
    the process, where the kernel gives one."""

    pid: int
    uid: int
    gid: int
    signal: int
    time: int
    limit: int | None
    hostname: str
    private: bool
    tid: int
    pidfd: int | None = None

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Crash":
        """Return what the kernel says with ARGUMENTS. Raises: InvalidArgumentError."""
        names = ARGUMENTS.split()
        if not len(names) - 1 <= len(arguments) <= len(names):  # a host's name with spaces is several before Linux 5.3
            raise InvalidArgumentError(f"{len(arguments)} arguments came: the kernel's are {ARGUMENTS}")
        said = dict(zip(names, arguments, strict=False))
        try:
            limit = int(said["%c"])
            crash = cls(
                pid=int(said["%P"]),
                uid=int(said["%u"]),
                gid=int(said["%g"]),
                signal=int(said["%s"]),
                time=int(said["%t"]),
                limit=None if limit < 0 or limit >= _RLIM_INFINITY else limit,
                hostname=said["%h"],
                private=said["%d"] != "1",
                tid=int(said["%I"]),
                pidfd=int(said["%F"]) if said.get("%F") else None,
            )
        except ValueError as error:
            raise InvalidArgumentError(f"{' '.join(arguments)!r} is not what the kernel says: {ARGUMENTS}") from error
        if crash.pid <= 0 or crash.tid <= 0 or crash.uid < 0 or crash.gid < 0:
            raise InvalidArgumentError(f"{' '.join(arguments)!r} names no process")
        return crash

    def values(self, *, uid: int, gid: int, pid: int) -> dict[str, str]:
        """Return the values of a pattern's specifiers, with the ids as they are to be told."""
        program = _read_link(f"/proc/{self.pid}/exe")
        said = {
            "p": pid,
            "P": pid,
            "i": pid if self.tid == self.pid else self.tid,
            "I": pid if self.tid == self.pid else self.tid,
            "u": uid,
            "g": gid,
            "d": 2 if self.private else 1,
            "s": self.signal,
            "t": self.time,
            "c": _RLIM_INFINITY if self.limit is None else self.limit,
            "C": 0,
        }
        texts = {"h": self.hostname, "e": self.name, "E": program, "f": program.rpartition("/")[2]}
        return {**{name: str(number) for name, number in said.items()}, **texts}

    @property
    def name(self) -> str:
        """What the thread that crashed calls itself, empty if it is gone."""
        try:
            with open(f"/proc/{self.pid}/task/{self.tid}/comm", errors="replace") as file:
                return file.read(64).rstrip("\n")
        except OSError:
            return ""


def is_dumping(pid: int) -> bool:
    """Whether a process is being dumped at this moment: a number that another process has by now is not."""
    return "CoreDumping:\t1\n" in _status(pid)


def pids_of(pid: int) -> tuple[int, ...]:
    """Return a process's numbers, in our PID namespace first, empty if it is gone. Source: proc_pid_status(5)."""
    line = next((each for each in _status(pid).split("\n") if each.startswith("NSpid:")), "NSpid:")
    return tuple(map(int, line.split()[1:]))


def _status(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
