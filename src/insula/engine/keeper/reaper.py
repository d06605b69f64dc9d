"""The reaper: the parent of keepers, so small that it never changes and is never upgraded.

    python -I -S reaper.py --listen-fd N [--ready-fd N] [--detach]

When a keeper dies, its children (guests' inits, entered processes) become the reaper's, since it is their nearest
sub-reaper, and only a parent is told how a process really ended: that a guest's init called reboot(2), for one. The
reaper reaps, remembers, and answers. It decides nothing, and ends once it has no child (by SIGTERM then), no client,
and nothing to remember.

It is a program of its own, and imports nothing of ours: whatever it needs must be in its memory for as long as the host
runs. A message is one SOCK_SEQPACKET datagram of fields, each separated from the next by a null byte.

    request  NUMBER, VERB, ARGUMENT…          answer  NUMBER, "ok", RESULT…   or   NUMBER, "error", TEXT

    hello                          → VERSION
    spawn, N, N × NAME=VALUE, command…
      fds: a root directory, the command's descriptors from 0 on
                                   → PID      a child in a session of its own; it finds its program below that root
    status, PID, BORN              → STATUS   of a child that has ended, as of waitpid(2); nothing if that is not known
    list                           → "PID BORN STATUS"…   at most LISTED, the oldest first
    forget, PID, BORN              →          (that is known no more)

BORN is a process's start time in clock ticks since boot: with the pid it names a process for good. How a spawned child
ended is not remembered. Verbs are added, and never change; who needs another answer asks with another verb.
"""

# The underscored one is what `socket` wraps: that, `signal` and what they import would double our memory.
import _socket
import ctypes
import fcntl
import itertools
import os
import select
import sys
from collections.abc import Callable

VERSION = "1"
LISTED = 1000
"""Ends in one answer: they fit a datagram."""
REMEMBERED_MAX = 65536
"""Ends that nobody asked for; beyond, the oldest go."""
FIELDS_MAX = 64 * 1024
"""Bytes of a request."""
PATIENCE = 10
"""Seconds until somebody has to have come for the first time."""
REAPED_AT_A_TIME = 64
PAUSE = 10
"""Milliseconds between turns of that many."""

_DESCRIPTORS_MAX = 64

_HELPER = b"insula-spawner)"
"""What a keeper's own helpers are called, which end with it: how, nobody will ask. Source: proc(5), field 2 of stat."""

_libc = ctypes.CDLL(None, use_errno=True)

_SIGNALS_IGNORED = (1, 2, 3, 13)  # SIGHUP, SIGINT, SIGQUIT, SIGPIPE
_SIGTERM, _SIGCHLD = 15, 17
_SIGINFO = 128
"""Bytes of what a signalfd tells of a signal; the first four are its number. Source: signalfd(2)."""
_SIGTRAP = 5
_PTRACE_DETACH = 17
_ALL_KINDS = 0x40000000  # __WALL: waitid(2)
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT | _ALL_KINDS
_SIG_BLOCK, _SIG_SETMASK = 0, 2
_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 4, 15, 36
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 8, 32, 4096
_MNT_DETACH = 2


class _SignalSet(ctypes.Structure):
    """sigset_t, as large as in any C library. Source: signal.h."""

    _fields_ = (("bits", ctypes.c_uint64 * 16),)


class Reaper:
    """All that is remembered."""

    def __init__(self, listener: _socket.socket, signals: int) -> None:
        self._listener: _socket.socket | None = listener
        self._signals = signals
        self._poll = select.poll()
        self._clients: dict[int, _socket.socket] = {}
        self._spawned: set[int] = set()
        self._orphans: set[int] = set()
        """Children of keepers that died."""
        self._all_orphans = False
        """Whether we cannot tell who else is our child."""
        self._ends: dict[tuple[int, int], int] = {}
        self._childless = False
        self._pausing = False
        """Whether there were so many ends that those who ask come first for a moment."""
        self._leaving = False
        self._verbs: dict[bytes, Callable[[list[bytes], list[int]], list[str]]] = {
            b"hello": self._hello,
            b"spawn": self._spawn,
            b"status": self._status,
            b"list": self._list,
            b"forget": self._forget,
        }
        for fd in (listener.fileno(), signals):
            self._poll.register(fd, select.POLLIN)

    def run(self) -> None:
        """Serve until there is nothing left to do."""
        self._turn(PATIENCE * 1000)
        while not (self._leaving and self._childless) and not (self._idle() and self._closed()):
            self._turn(PAUSE if self._pausing else None)

    def _turn(self, milliseconds: int | None) -> None:
        ready = self._poll.poll(milliseconds)
        # Before anybody is answered, so that every answer is true at its moment.
        more = not self._reaped()
        for fd, _ in ready:
            if fd == self._signals:
                self._leaving = _SIGTERM in os.read(fd, 32 * _SIGINFO)[::_SIGINFO] or self._leaving
            elif fd in self._clients:
                self._serve(self._clients[fd])
            else:
                self._accept()
        more = not self._reaped() or more
        if more is not self._pausing:
            # What a guest does on purpose is not to cost us, and so the host, all the time.
            self._poll.modify(self._signals, 0 if more else select.POLLIN)
            self._pausing = more

    def _idle(self) -> bool:
        return self._childless and not self._clients and not self._ends

    def _closed(self) -> bool:
        """Take in nobody from now on, unless somebody is waiting at this moment: return whether nobody was."""
        self._accept()
        if self._clients or self._listener is None:
            return not self._clients
        self._listener.close()
        return True

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        client = _socket.socket(fileno=fd)
        os.set_inheritable(fd, False)
        uid = int.from_bytes(client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
        if uid not in (0, os.geteuid()):
            client.close()
            return
        client.setblocking(False)
        self._clients[fd] = client
        self._poll.register(fd, select.POLLIN)

    # Ends

    def _reaped(self) -> bool:
        """Reap, but not for long; return whether that was all."""
        for _ in range(REAPED_AT_A_TIME):
            try:
                told = os.waitid(os.P_ALL, 0, _LOOK)
            except ChildProcessError:
                self._childless = True
                return True
            self._childless = False
            if told is None:
                return True
            if told.si_code == os.CLD_TRAPPED:
                _let_go(told.si_pid, told.si_status & 0x7F)
            else:
                self._reap(told.si_pid)
        return False

    def _reap(self, pid: int) -> None:
        """Reap a child that has ended, and remember how if it is an orphan."""
        # While it is not reaped, its pid is its own, and so is its start time.
        born = _born(pid)
        _, status = os.waitpid(pid, _ALL_KINDS)
        if pid in self._spawned:
            self._spawned.discard(pid)
            # What it leaves is ours from the moment of its death on, and comes after it in the order of our children.
            # What orphans make our children later (CLONE_PARENT) is nothing that anybody will ask for.
            children = _children()
            self._all_orphans = self._all_orphans or children is None
            self._orphans.update(each for each in children or () if not _is_helper(each))
        elif pid in self._orphans or self._all_orphans:
            self._orphans.discard(pid)
            self._ends[pid, born] = status
            if len(self._ends) > REMEMBERED_MAX:
                del self._ends[next(iter(self._ends))]

    # Verbs

    def _serve(self, client: _socket.socket) -> None:
        fds: list[int] = []
        try:
            fields, fds = _received(client)
            if fields is None:
                self._lose(client)
                return
            answer = self._answer(fields, fds)
            client.sendmsg([b"\0".join([fields[0], *(each.encode() for each in answer)])])
        except (BlockingIOError, InterruptedError):
            # Nothing there; or an answer that was not read, to one who will have to ask again.
            return
        except OSError:
            self._lose(client)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, fields: list[bytes], fds: list[int]) -> list[str]:
        try:
            return ["ok", *self._verbs[fields[1]](fields[2:], fds)]
        except Exception as error:  # whatever a request leads to, all others go on
            return ["error", f"{type(error).__name__}: {error}".replace("\0", " ")[:1000]]

    def _lose(self, client: _socket.socket) -> None:
        self._poll.unregister(client.fileno())
        del self._clients[client.fileno()]
        client.close()

    def _hello(self, arguments: list[bytes], fds: list[int]) -> list[str]:
        return [VERSION]

    def _spawn(self, arguments: list[bytes], fds: list[int]) -> list[str]:
        names = int(arguments[0])
        environment = dict(each.split(b"=", 1) for each in arguments[1 : names + 1])
        command = arguments[names + 1 :]
        if not command or len(fds) < 4:
            raise ValueError("a command needs words, a root directory and three streams")
        pid = os.fork()
        if pid == 0:
            _become(command, environment, fds)
        self._spawned.add(pid)
        self._childless = False
        return [str(pid)]

    def _status(self, arguments: list[bytes], fds: list[int]) -> list[str]:
        pid, born = int(arguments[0]), int(arguments[1])
        if (pid in self._orphans or self._all_orphans) and _has_ended(pid):
            # Where very many end, it has not had its turn.
            self._reap(pid)
        status = self._ends.get((pid, born))
        return [] if status is None else [str(status)]

    def _list(self, arguments: list[bytes], fds: list[int]) -> list[str]:
        return [f"{pid} {born} {status}" for (pid, born), status in itertools.islice(self._ends.items(), LISTED)]

    def _forget(self, arguments: list[bytes], fds: list[int]) -> list[str]:
        self._ends.pop((int(arguments[0]), int(arguments[1])), None)
        return []


def _received(client: _socket.socket) -> tuple[list[bytes] | None, list[int]]:
    """Return a request's fields and descriptors, no fields at the end. Raises: OSError."""
    encoded, ancillary, flags, _ = client.recvmsg(
        FIELDS_MAX, _socket.CMSG_SPACE(_DESCRIPTORS_MAX * 4), _socket.MSG_CMSG_CLOEXEC
    )
    fds = []
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) - 3, 4)]
    fields = encoded.split(b"\0")
    cut = flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC)
    return (None if cut or len(fields) < 2 else fields), fds


def _become(command: list[bytes], environment: dict[bytes, bytes], fds: list[int]) -> None:
    """Execute a command in this process, a fork. Never returns."""
    try:
        # Out of the way of the numbers they get; whatever else is open closes at the exec.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(fds)) for fd in fds]
        os.fchdir(moved[0])
        os.chroot(".")
        for number, fd in enumerate(moved[1:]):
            os.dup2(fd, number)
        os.setsid()
        for number in _SIGNALS_IGNORED:
            _libc.signal(number, None)
        _libc.sigprocmask(_SIG_SETMASK, ctypes.byref(_SignalSet()), None)
        os.execve(command[0], command, environment)
    finally:
        os._exit(127)


def _born(pid: int) -> int:
    """Return when a process started, -1 if that cannot be read. Source: proc(5), field 22 of /proc/PID/stat."""
    fields = _statistics(pid).rpartition(b")")[2].split()
    return int(fields[19]) if fields else -1


def _is_helper(pid: int) -> bool:
    """Whether this is a keeper's own helper, by its name, which a guest may choose too: its end is forgotten then."""
    return _statistics(pid).partition(b"(")[2].startswith(_HELPER)


def _statistics(pid: int) -> bytes:
    return _content(f"/proc/{pid}/stat") or b""


def _children() -> list[int] | None:
    """Return our children, None where the kernel does not list them. Source: proc(5), /proc/PID/task/TID/children."""
    pid = os.getpid()
    listed = _content(f"/proc/{pid}/task/{pid}/children")
    return None if listed is None else [int(child) for child in listed.split()]


def _content(path: str) -> bytes | None:
    """Return what a file of /proc says, None if that cannot be read."""
    try:
        # Nothing that decodes: what it needs is imported when it is first used, and there is nothing to import from.
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return None


def _has_ended(pid: int) -> bool:
    """Tell whether a child of ours waits to be reaped."""
    try:
        told = os.waitid(os.P_PID, pid, _LOOK)
    except ChildProcessError:
        return False
    return told is not None and told.si_code != os.CLD_TRAPPED


def _let_go(pid: int, number: int) -> None:
    """Let an orphan go on that made us its tracer (PTRACE_TRACEME) and stands still for us before a signal."""
    _libc.ptrace(_PTRACE_DETACH, pid, None, ctypes.c_void_p(0 if number == _SIGTRAP else number))


def _call(function: str, *arguments: object) -> int:
    result: int = getattr(_libc, function)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
    return result


def leave_host() -> None:
    """Leave the mounts, of which we have a copy of our own, for an empty root with nothing in it but /proc."""
    safe = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", ctypes.c_ulong(safe), b"mode=755,size=64k")
    os.mkdir("/proc/proc")
    _call("mount", b"proc", b"/proc/proc", b"proc", ctypes.c_ulong(safe | _MS_RDONLY), None)
    os.chdir("/proc")
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    _call("mount", None, b"/", None, ctypes.c_ulong(_MS_REMOUNT | _MS_BIND | _MS_RDONLY | safe), None)


def _watch_children() -> int:
    """Return a descriptor that is readable when a child has ended, or we are to: signalfd(2)."""
    wanted = _SignalSet()
    for number in (_SIGCHLD, _SIGTERM):
        _call("sigaddset", ctypes.byref(wanted), number)
    _call("sigprocmask", _SIG_BLOCK, ctypes.byref(wanted), None)
    return _call("signalfd", -1, ctypes.byref(wanted), os.O_CLOEXEC | os.O_NONBLOCK)


def main(arguments: list[str]) -> None:
    """Become the reaper."""
    listening, ready = -1, -1
    while arguments:
        option = arguments.pop(0)
        if option == "--detach":
            if os.fork():
                os._exit(0)
        elif option == "--listen-fd":
            listening = int(arguments.pop(0))
        elif option == "--ready-fd":
            ready = int(arguments.pop(0))
        else:
            raise ValueError(f"the reaper has no option {option}")
    for number in _SIGNALS_IGNORED:
        _libc.signal(number, ctypes.c_void_p(1))  # SIG_IGN
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    _call("prctl", _PR_SET_NAME, b"insula-reaper", 0, 0, 0)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    leave_host()
    listener = _socket.socket(fileno=listening)
    os.set_inheritable(listening, False)
    listener.setblocking(False)
    listener.listen()  # again, in this process: peers are told who listened last (unix(7), SO_PEERCRED)
    reaper = Reaper(listener, _watch_children())
    if ready >= 0:
        os.write(ready, b"r")
        os.close(ready)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    reaper.run()


if __name__ == "__main__":
    main(sys.argv[1:])
