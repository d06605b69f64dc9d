"""A daemon whose system calls are watched from outside: the k-th of a kind fails, or its process dies there.

insulad is started under a seccomp filter that asks us about every call which changes something or makes a descriptor
(seccomp_unotify(2)). The keeper, its children and guests inherit the filter. Calls go on untouched until the watch is
armed for a victim; then the victim's calls are counted over all its threads, and the chosen one is refused with an
error, or the process is killed before it happens. So every instant is met exactly, which strace cannot do: it counts by
thread and by call.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.insulad import START, Insulad
from tests.testhost import TestHost
from tests.waiting import patience, until

# x86-64's numbers. Source: the kernel's syscall_64.tbl.
OPENAT = 257
WRITE = 1
CHANGES = {
    WRITE: "write",
    OPENAT: "openat",
    18: "pwrite64",
    20: "writev",
    74: "fsync",
    75: "fdatasync",
    76: "truncate",
    77: "ftruncate",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    86: "link",
    87: "unlink",
    88: "symlink",
    90: "chmod",
    91: "fchmod",
    92: "chown",
    93: "fchown",
    165: "mount",
    166: "umount2",
    188: "setxattr",
    258: "mkdirat",
    260: "fchownat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    266: "symlinkat",
    306: "syncfs",
    316: "renameat2",
    326: "copy_file_range",
    428: "open_tree",
    429: "move_mount",
    432: "fsmount",
    442: "mount_setattr",
}
STEPS = {46: "sendmsg", 56: "clone", 272: "unshare", 308: "setns", 424: "pidfd_send_signal", 435: "clone3"}
MAKES_DESCRIPTORS = {
    OPENAT: "openat",
    32: "dup",
    41: "socket",
    53: "socketpair",
    283: "timerfd_create",
    288: "accept4",
    290: "eventfd2",
    291: "epoll_create1",
    292: "dup3",
    293: "pipe2",
    319: "memfd_create",
    428: "open_tree",
    430: "fsopen",
    432: "fsmount",
    434: "pidfd_open",
    438: "pidfd_getfd",
}
NAMES = {**CHANGES, **STEPS, **MAKES_DESCRIPTORS}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1
_KEEPERS = ("insula-keeper", "insula-spawner", "insula-child")
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FLAGS = 1 << 3 | 1 << 5
"""SECCOMP_FILTER_FLAG_NEW_LISTENER, and WAIT_KILLABLE_RECV (Linux 5.19): only a deadly signal disturbs who waits."""

WRAPPER = f"""
import ctypes, os, struct, sys
numbers = {sorted(set(NAMES) - {OPENAT})!r}
program = [(0x20, 0, 0, 0)]
for each in numbers:
    program += [(0x15, 0, 1, each), (0x06, 0, 0, 0x7FC00000)]
if sys.argv[2] == "reads":
    program += [(0x15, 0, 1, {OPENAT}), (0x06, 0, 0, 0x7FC00000)]
else:  # the low half of openat's flags: whether it may change anything
    program += [(0x15, 0, 3, {OPENAT}), (0x20, 0, 0, 32), (0x45, 0, 1, {_CHANGING}), (0x06, 0, 0, 0x7FC00000)]
program.append((0x06, 0, 0, 0x7FFF0000))
code = b"".join(struct.pack("=HBBI", *each) for each in program)
buffer = ctypes.create_string_buffer(code)
head = struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
pipe = int(sys.argv[1])
os.set_inheritable(pipe, False)
if libc.syscall(317, 1, {_FLAGS}, head) < 0:
    sys.exit(f"seccomp: {{os.strerror(ctypes.get_errno())}}")
os.read(pipe, 1)
os.execv(sys.executable, [sys.executable, "-c", {START!r}, *sys.argv[3:]])
"""


class Victim(Enum):
    """Whose calls are counted."""

    DAEMON = "insulad"
    KEEPER = "the keeper"
    """With its spawner, and with its children until they are the guest's."""


class Fault(Enum):
    """What happens at the chosen call."""

    KILL = "killed"
    NO_SPACE = "ENOSPC"
    IO_ERROR = "EIO"
    NO_DESCRIPTORS = "EMFILE"

    @property
    def calls(self) -> dict[int, str]:
        """The calls it may happen at."""
        if self is Fault.KILL:
            return {**CHANGES, **STEPS}
        return MAKES_DESCRIPTORS if self is Fault.NO_DESCRIPTORS else CHANGES

    @property
    def number(self) -> int:
        """The error's number; 0 for none."""
        return 0 if self is Fault.KILL else int(getattr(errno, self.value))


@dataclass(kw_only=True, slots=True)
class Aim:
    """What is waited for.

    at: the number of the call, from 1; 0 only counts. seen: the calls so far; hit: the chosen one.
    """

    victim: Victim
    fault: Fault
    at: int = 0
    seen: list[str] = field(default_factory=list)
    hit: str = ""


class Watch:
    """Answers what the filter asks; `aim` is what it waits for."""

    def __init__(self, listener: int, daemon: int) -> None:
        self._listener = listener
        self._daemon = daemon
        self._lock = threading.Lock()
        self._aim: Aim | None = None
        self._groups: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def arm(self, aim: Aim | None) -> None:
        """Wait for something else from now on, or for nothing."""
        with self._lock:
            self._aim = aim

    def join(self) -> None:
        """Return once everything under the filter has ended."""
        self._thread.join(timeout=patience(30))

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while True:
            if any(events & select.POLLHUP for _, events in poller.poll()):
                break
            asked = bytearray(_NOTIFICATION.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, asked)
            except OSError:
                continue  # whoever asked is dead by now
            number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(asked)
            with self._lock:
                error = self._decide(pid, call, arguments)
            answer = _ANSWER.pack(number, 0, -error, 0 if error else _CONTINUE)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._listener, _SEND, bytearray(answer))
        os.close(self._listener)

    def _decide(self, pid: int, call: int, arguments: list[int]) -> int:
        """Return the error a call gets, 0 for none; its process may be dead then."""
        aim = self._aim
        if aim is None or aim.hit or call not in aim.fault.calls or not self._counts(aim, call, arguments):
            return 0
        if not self._is(aim.victim, pid):
            return 0
        aim.seen.append(NAMES[call])
        if len(aim.seen) != aim.at:
            return 0
        aim.hit = NAMES[call]
        if aim.fault is Fault.KILL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._group(pid), signal.SIGKILL)
            return errno.EINTR  # which nobody sees: told to go on, the dying could still make this call
        return aim.fault.number

    @staticmethod
    def _counts(aim: Aim, call: int, arguments: list[int]) -> bool:
        if call == OPENAT and aim.fault is not Fault.NO_DESCRIPTORS:
            return bool(arguments[2] & _CHANGING)
        return call != WRITE or arguments[0] > 2

    def _is(self, victim: Victim, pid: int) -> bool:
        if victim is Victim.DAEMON:
            return self._group(pid) == self._daemon
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text().strip() in _KEEPERS
        return False

    def _group(self, pid: int) -> int:
        """Return the process of a thread."""
        if pid not in self._groups:
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{pid}/status").read_text()
                self._groups[pid] = int(status.partition("Tgid:")[2].split(maxsplit=1)[0])
        return self._groups.get(pid, pid)


class WatchedInsulad(Insulad):
    """An insulad that is started under a watch. The keeper stays under the watch of the daemon that started it."""

    def __init__(self, *, host: TestHost, prefix: Path) -> None:
        super().__init__(host=host, prefix=prefix)
        self._watches: list[Watch] = []

    def start_watched(self, *, reads: bool) -> None:
        """Start the daemon under a watch, and return once its socket accepts.

        reads: ask about files that are opened for reading too, which takes seconds more.
        """
        assert self.process is None, "insulad runs already"
        reader, writer = os.pipe()
        with self.log.open("ab") as log:
            self.process = self.host.start(
                sys.executable, "-c", WRAPPER, str(reader), "reads" if reads else "changes", "--prefix",
                str(self.prefix), stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(reader,),
            )  # fmt: skip
        os.close(reader)
        until(lambda: listeners(self.pid), "the filter of insulad", 10)
        pidfd = os.pidfd_open(self.pid)
        self._watches.append(Watch(taken_from(pidfd, listeners(self.pid)[0]), self.pid))
        os.close(pidfd)
        os.close(writer)
        until(self.answers, f"insulad accepting on {self.socket}", 30)

    @contextlib.contextmanager
    def aimed(self, aim: Aim) -> Iterator[None]:
        """Wait for something while the block runs."""
        for watch in self._watches:
            watch.arm(aim)
        try:
            yield
        finally:
            for watch in self._watches:
                watch.arm(None)

    def join(self) -> None:
        """Return once nothing is left under a filter."""
        for watch in self._watches:
            watch.join()


def listeners(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == "anon_inode:seccomp notify":
                    found.append(int(name))
    return found


def taken_from(pidfd: int, fd: int) -> int:
    """Return another process's descriptor: pidfd_getfd(2)."""
    taken = int(ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0))
    if taken < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "pidfd_getfd")
    os.set_inheritable(taken, False)
    return taken
