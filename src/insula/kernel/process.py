"""Making processes, entering namespaces, and learning how processes ended."""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
from collections.abc import Sequence
from enum import IntEnum, IntFlag

from insula.kernel.fds import Fd
from insula.kernel.syscall import libc, syscall


class CloneFlag(IntFlag):
    """What a child shares, and which namespaces are made for it. Source: linux/sched.h."""

    NOTHING = 0
    NEWTIME = 0x00000080
    FILES = 0x00000400
    PIDFD = 0x00001000
    VFORK = 0x00004000
    PARENT = 0x00008000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


NAMESPACE_FLAGS = {
    "mnt": CloneFlag.NEWNS,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "pid": CloneFlag.NEWPID,
    "net": CloneFlag.NEWNET,
    "user": CloneFlag.NEWUSER,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
}
"""The names below /proc/PID/ns and clone(2)'s flags for them."""


SIGNAL_CHILD = 17


class CloneArguments(ctypes.Structure):
    """struct clone_args. Source: clone(2)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


@syscall(435, keep_interpreter=True)
def _clone3(arguments: CloneArguments, size: int) -> int:
    raise NotImplementedError


def clone(flags: CloneFlag, *, pids: Sequence[int] = (), cgroup: Fd | None = None) -> tuple[int, Fd]:
    """Fork this process, which must have one thread only; return its pid and pidfd, or (0, -1) in the child.

    flags: the namespaces to make. pids: the numbers wanted, the innermost namespace's first (set_tid). cgroup: a
    directory of the unified hierarchy to start in.

    None of the interpreter's fork hooks run: the child shall perform its task and exec or exit with `os._exit`.

    Raises: OSError(EEXIST) if a wanted pid is taken; EPERM, EBUSY and the others of clone(2).
    """
    pidfd = ctypes.c_int(-1)
    wanted = (ctypes.c_int * len(pids))(*pids)
    arguments = CloneArguments(
        flags=flags | CloneFlag.PIDFD | (CloneFlag.INTO_CGROUP if cgroup is not None else 0),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=SIGNAL_CHILD,
        set_tid=ctypes.addressof(wanted) if pids else 0,
        set_tid_size=len(pids),
        cgroup=cgroup if cgroup is not None else 0,
    )
    pid = _clone3(arguments, ctypes.sizeof(arguments))
    return pid, Fd(pidfd.value if pid else -1)


@libc("setns")
def setns(fd: int, kind: CloneFlag) -> None:
    """Move this thread into the namespace behind fd, or into those of a pidfd's process: setns(2).

    Of a PID namespace it is the children that move, and of a time namespace too.
    """
    raise NotImplementedError


@libc("unshare")
def unshare(kinds: CloneFlag) -> None:
    """Move this thread into fresh namespaces: unshare(2)."""
    raise NotImplementedError


@libc("prctl")
def _prctl(option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    raise NotImplementedError


class ProcessControl(IntEnum):
    """Options of prctl(2), as far as they are used. Source: linux/prctl.h."""

    SET_PDEATHSIG = 1
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    SET_NAME = 15
    SET_CHILD_SUBREAPER = 36


def set_dumpable(dumpable: bool) -> None:
    """Allow or forbid that equals trace this process and read its /proc files: prctl(2)."""
    _prctl(ProcessControl.SET_DUMPABLE, int(dumpable), 0, 0, 0)


def set_name(name: str) -> None:
    """Set the name that ps shows, cut at 15 bytes: prctl(2)."""
    buffer = ctypes.create_string_buffer(os.fsencode(name)[:15])
    _prctl(ProcessControl.SET_NAME, ctypes.addressof(buffer), 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that made us ends: prctl(2), PR_SET_PDEATHSIG. parent: its pid.

    Raises: ProcessLookupError if it has ended already.
    """
    _prctl(ProcessControl.SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(parent))


class PidfdInformation(ctypes.Structure):
    """struct pidfd_info in its first version. Source: linux/pidfd.h."""

    _fields_ = (
        ("mask", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("ppid", ctypes.c_uint32),
        ("ids", ctypes.c_uint32 * 8),
        ("exit_code", ctypes.c_int32),
    )


_PIDFD_GET_INFO = 0xC0000000 | ctypes.sizeof(PidfdInformation) << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3


def exit_of_stranger(pidfd: int) -> int | None:
    """Return the wait status of a process that was not our child, once its parent has reaped it.

    None as long as it has not been reaped, and on kernels before 6.15, which cannot tell. Only its parent is told of
    reboot(2) in a PID namespace: here an init that called it has exited with 0, and one for which another process did
    was killed by SIGKILL. Source: linux/pidfd.h, PIDFD_GET_INFO with PIDFD_INFO_EXIT.
    """
    information = PidfdInformation(mask=_PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, information)
    except OSError:
        return None
    status: int = information.exit_code
    return status if information.mask & _PIDFD_INFO_EXIT else None


def status_of_zombie(directory: int) -> int | None:
    """Return the wait status of a process that has ended and is not reaped yet, by its directory in /proc; else None.

    It tells reboot(2) in a PID namespace as its parent will be told. Needs the right to trace it: root's, of a process
    of root's. Source: proc(5), fields 3 and 52 of /proc/PID/stat.
    """
    try:
        fields = _statistics(directory)
    except OSError:
        return None
    return int(fields[49]) if fields[0] in (b"Z", b"X") else None


def start_time_in(directory: int) -> int:
    """Return when the process behind a directory of /proc started, as `start_time`."""
    return int(_statistics(directory)[19])


def _statistics(directory: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on. Raises: OSError(ESRCH) of one that is reaped."""
    fd = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    finally:
        os.close(fd)


def reset_memory_score(process: int) -> None:
    """Make a process, by its directory in /proc, as likely to be killed for memory as any: proc_pid_oom_score_adj(5).

    One that was made likelier stays so where we may not change that.
    """
    fd = os.open("oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=process)
    try:
        with contextlib.suppress(PermissionError):
            os.write(fd, b"0")
    finally:
        os.close(fd)


def with_descriptors(soft: int) -> tuple[str, ...]:
    """Return the words before a command that is to have this soft limit of descriptors: prlimit(1)."""
    return (shutil.which("prlimit") or "prlimit", f"--nofile={soft}:", "--")


def pid_of(pidfd: int) -> int | None:
    """Return the number of the process behind a pidfd, None once it is reaped.

    Raises: OSError(EBADF) for any other descriptor. Source: pidfd_open(2), "Pid" in /proc/PID/fdinfo.
    """
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        facts = dict(line.split(b":", 1) for line in os.read(fd, 4096).splitlines() if b":" in line)
    finally:
        os.close(fd)
    if b"Pid" not in facts:
        raise OSError(errno.EBADF, "not the descriptor of a process")
    pid = int(facts[b"Pid"])
    return pid if pid > 0 else None


def has_ended(pidfd: int) -> bool:
    """Tell whether the process behind pidfd is dead: then, and only then, it is readable (pidfd_open(2))."""
    return ends_within(pidfd, 0)


def ends_within(pidfd: int, seconds: float) -> bool:
    """Wait for the end of the process behind pidfd, no longer than that; tell whether it has come."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def is_child(pidfd: int) -> bool:
    """Tell whether the process behind pidfd is a child of ours that has not been reaped: waitid(2)."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT | _ALL_KINDS)
    except ChildProcessError:
        return False
    return True


_ALL_KINDS = 0x40000000
"""__WALL: also children that tell their end by another signal, or none. Source: waitid(2)."""


def wait_status(pidfd: int) -> int | None:
    """Reap our child behind pidfd and return its wait status, None while it lives.

    Raises: ChildProcessError if it is not our child, or has been reaped.
    """
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return (result.si_status & 0xFF) << 8
    return result.si_status | (0x80 if result.si_code == os.CLD_DUMPED else 0)


def session_of(pid: int) -> int:
    """Return the pid of the leader of a process's session, which no other process gets as long as the session lasts.

    Raises: OSError if there is no such process. Source: proc(5), field 6 of /proc/PID/stat.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[3])


def start_time(pid: int) -> int:
    """Return when the process started, in clock ticks since boot: with the pid it names a process for good.

    Raises: OSError if there is no such process. Source: proc(5), field 22 of /proc/PID/stat.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])
