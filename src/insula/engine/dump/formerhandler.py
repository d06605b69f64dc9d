"""What becomes of cores of the host's own programs: whatever the host had for them before, with the same content.

The former pattern stands in a file of the administrator's; without one it is what systemd's package sets. Here it is
expanded as the kernel would. Source: core(5).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from insula.engine.coreplace import expanded
from insula.engine.dump.corelook import copied
from insula.engine.dump.crash import Crash, pids_of
from insula.errors import OperationFailedError

_KEY = "kernel.core_pattern"
_SIZE_MAX = 1 << 16
_PATTERN_MAX = 1024
_UNLIMITED = 1 << 62
_LEAST = 4096
"""Bytes of RLIMIT_CORE below which the kernel makes no file of a core: ELF_EXEC_PAGESIZE."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerHandler:
    """own: the administrator's file, a pattern alone; packaged: files as sysctl.d(5) has them."""

    own: Path
    packaged: Sequence[Path]

    def pattern(self) -> str | None:
        """Return the host's pattern, None for one that has none."""
        with suppress(OSError):
            return _content(self.own).strip()[:_PATTERN_MAX] or None
        for path in self.packaged:
            with suppress(OSError):
                for line in _content(path).splitlines():
                    name, _, value = line.lstrip("-").partition("=")
                    if name.strip().replace("/", ".") == _KEY and value.strip():
                        return value.strip()[:_PATTERN_MAX]
        return None

    def take(self, crash: Crash, stream: int, pidfd: int) -> str:
        """Have a core taken; return where it is. A program takes our place, and then this does not return.

        Raises: OperationFailedError for a host that has nothing for it; OSError.
        """
        pattern = self.pattern()
        if pattern is None:
            raise OperationFailedError(f"no handler is known: write the former {_KEY} into {self.own}")
        numbers = pids_of(crash.pid)
        values = crash.values(uid=crash.uid, gid=crash.gid, pid=numbers[-1] if numbers else crash.pid)
        values |= {"P": str(crash.pid), "I": str(crash.tid), "F": str(pidfd)}
        if not pattern.startswith("|"):
            return _kept(expanded(pattern, values), crash, stream)
        words = [_argument(word, values) for word in pattern[1:].split()]
        if not words or not words[0].startswith("/"):
            raise OperationFailedError(f"'{pattern}' names no program by its absolute path: mend {self.own}")
        os.dup2(stream, 0)
        os.set_inheritable(pidfd, True)
        return _become(words)


def _become(words: list[str]) -> NoReturn:
    os.execve(words[0], words, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def _argument(word: str, values: dict[str, str]) -> str:
    """Return a word as the kernel gives it to a program: values are one argument, whatever is in them."""
    return expanded(word, values, escape=lambda value: value.replace("\0", ""))


def _kept(path: str, crash: Crash, stream: int) -> str:
    """Make a new file of a core, as its process's user would, or as root where that must not read it.

    Raises: OperationFailedError, OSError, for whatever the kernel had not done for it either.
    """
    if not path.startswith("/") or ".." in path.split("/"):
        raise OperationFailedError(
            f"'{path}' is no absolute path: a program's own directory is not written to from here"
        )
    most = _UNLIMITED if crash.limit is None else crash.limit
    if most < _LEAST:
        raise OperationFailedError(f"its RLIMIT_CORE is {most}, which is too little for a core")
    if not os.path.samestat(os.stat(f"/proc/{crash.pid}/root"), os.stat("/")):
        raise OperationFailedError(f"it has another root than the host, where '{path}' is not its to write to")
    making = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _rights_of(crash):
        file = os.open(path, making, 0o600)
        try:
            copied(stream, file, most)
        finally:
            os.close(file)
    return path


@contextmanager
def _rights_of(crash: Crash) -> Iterator[None]:
    """Be the user of a process that crashed: directories that it cannot write to, links of others', and quotas hold."""
    if crash.private or os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([crash.gid])
        os.setegid(crash.gid)
        os.seteuid(crash.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _content(path: Path) -> str:
    with open(path, errors="replace") as file:
        return file.read(_SIZE_MAX)
