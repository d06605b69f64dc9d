"""The keeper's hold on the spawner, a small process that clones for it (`engine/spawner/spawner.c`).

    keeper                        spawner                      who is cloned (the keeper's child: CLONE_PARENT)
      │ order (fds: image, channel …) ─►│ clone3 ─────────────────►│
      │◄────────── channel: {"cloned": true} (fd: pidfd) ──────────│ plays the image
      │◄── channel: {"not_cloned": errno} ──│

The keeper never waits for it, and it keeps no account of orders: all that is said comes on the channel of each. The
channel's end without a word means that there was no process, or is none any more: a spawner that dies takes the
orders that it had not carried out along.
"""

import array
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insula.engine.keeper.eventloop import READABLE, EventLoop
from insula.engine.spawner import __file__ as _beside
from insula.kernel.fds import NO_FD, Fd, keep_only
from insula.kernel.process import CloneFlag, clone, set_name

STANDING_MAX = 5
"""Descriptors of namespaces that an order may have."""
ORDER = struct.Struct(f"<QQQiiiiIII{STANDING_MAX}I")
"""flags, soft and hard limit of fds, uid, gid, two pids, their count, whether there is a group, how many namespaces to
stand in, and which each: `struct order` in spawner.c"""
NAME = "insula-spawner"
"""What it is called, as the reaper knows as well."""
READY = b"r"
"""What a spawner says once it takes orders."""
PATIENCE = 5.0
"""Seconds that the keeper waits, when it begins, for the spawner to begin."""
DEATHS_MAX = 3
"""How many spawners in turn may die before they were ready; no more are started then."""

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_EXEC = 0x10
"""Says that the file is to be executed, since Linux 6.3. Source: memfd_create(2)."""
_SNDBUFFORCE = 32
_ORDERS_SIZE = 8 << 20
"""Bytes of the kernel's for orders that wait: some thousand."""
_UNSENT = 0x5411
"""SIOCOUTQ: bytes that the other side has not received. Source: unix(7)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One process to be cloned. The fds stay the caller's, who may close them once the order is given.

    flags: the namespaces to make; limits: soft and hard limit of its fds; pids: the numbers wanted, the innermost
    namespace's first; owner: uid and gid to whom a user namespace shall belong; cgroup: the directory of the group to
    be born in; standing: namespaces to be born in, each an fd of one or of a process, and which of its.
    """

    flags: CloneFlag
    limits: tuple[int, int]
    image: Fd
    channel: Fd
    pids: tuple[int, ...] = ()
    owner: tuple[int, int] | None = None
    cgroup: Fd | None = None
    standing: tuple[tuple[Fd, CloneFlag], ...] = ()

    def encoded(self) -> bytes:
        """Return the datagram."""
        soft, hard = self.limits
        uid, gid = (-1, -1) if self.owner is None else self.owner
        kinds = [int(kind) for _, kind in self.standing]
        return ORDER.pack(
            self.flags,
            soft & _WORD,
            hard & _WORD,
            uid,
            gid,
            *self.pids,
            *(0,) * (2 - len(self.pids)),
            len(self.pids),
            self.cgroup is not None,
            len(kinds),
            *kinds,
            *(0,) * (STANDING_MAX - len(kinds)),
        )

    def fds(self) -> list[int]:
        """Return what goes with it."""
        group = [] if self.cgroup is None else [self.cgroup]
        return [self.image, self.channel, *group, *(fd for fd, _ in self.standing)]


_WORD = (1 << 64) - 1


def built_program() -> bytes:
    """Return the spawner for this machine, empty if there is none."""
    try:
        return Path(_beside).with_name(f"spawner.{os.uname().machine}").read_bytes()
    except FileNotFoundError:
        return b""


class Spawner:
    """One spawner at a time; another is started when it dies.

    program: its bytes, read before the keeper leaves the host's files; null: a null device.
    """

    def __init__(self, loop: EventLoop, program: bytes, null: int) -> None:
        self._loop = loop
        self._program = program
        self._null = null
        self._socket: socket.socket | None = None
        self._pidfd = NO_FD
        self._ready = False
        self._deaths = 0
        self.pid = 0

    def start(self) -> None:
        """Start the first one, and wait until it has begun, but not for long; where it cannot, it is not `usable`."""
        if self._program:
            self._start()
        while self._socket is not None and not self._ready:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(PATIENCE * 1000):
                self._kill()
            self._listen()

    @property
    def usable(self) -> bool:
        """Whether there is one, or will be in a moment."""
        return self._socket is not None

    def give(self, order: Order) -> None:
        """Have a process cloned; what comes of it is said on its channel.

        Raises: BlockingIOError if too many orders wait; BrokenPipeError if no spawner can be had.
        """
        datagram, fds = order.encoded(), array.array("i", order.fds())
        for _ in range(2):
            if self._socket is None:
                break
            try:
                self._socket.sendmsg([datagram], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                return
            except (BrokenPipeError, ConnectionResetError):
                self._listen()  # it has died, which its end of the socket says
        raise BrokenPipeError(errno.EPIPE, "no spawner can be had")

    def doubt(self) -> None:
        """Have another one started if this one has not even received what was ordered: something has stopped it."""
        if self._socket is not None and struct.unpack("i", fcntl.ioctl(self._socket, _UNSENT, bytes(4)))[0]:
            self._kill()

    def close(self) -> None:
        """Let go of it, whose end this is."""
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            os.close(self._pidfd)
            self._socket = None

    def _start(self) -> None:
        try:
            program = _sealed_file(self._program)
        except OSError:
            return  # no memory file may be executed here: vm.memfd_noexec
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.pid, self._pidfd = clone(CloneFlag.NOTHING)
            if self.pid == 0:
                self._become_it(program, theirs.fileno())
        except OSError:
            ours.close()
            traceback.print_exc()
            return
        finally:
            theirs.close()
            os.close(program)
        ours.setblocking(False)
        with suppress(PermissionError):
            ours.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, _ORDERS_SIZE)
        self._socket = ours
        self._ready = False
        self._loop.watch(ours.fileno(), READABLE, lambda _: self._listen())

    def _become_it(self, program: Fd, theirs: int) -> None:
        """In the child: execute, the socket being 0 and the null device 1, all signals blocked and none ignored."""
        try:
            # Before anything else: should the keeper die now, nobody shall connect to its socket any more, and the
            # reaper shall know what this is.
            keep_only((program, theirs, self._null))
            set_name(NAME)
            signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
            for number in signal.valid_signals():
                if signal.getsignal(number) is signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)  # an exec would hand that on
            null = os.dup(self._null)
            os.dup2(theirs, 0)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.execve(program, [NAME], {})
        finally:
            os._exit(1)

    def _listen(self) -> None:
        """Hear that it is ready, or has ended."""
        if self._socket is None:
            return
        try:
            said = self._socket.recv(64)
        except BlockingIOError:
            return
        except ConnectionResetError:
            said = b""
        if said == READY:
            self._ready = True
            self._deaths = 0
            return
        self.close()
        self._deaths += not self._ready
        if self._deaths < DEATHS_MAX:
            sys.stderr.write(f"the spawner {self.pid} has ended\n")
            self._start()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


def _sealed_file(content: bytes) -> Fd:
    """Return a memory file that nobody can write to any more, to be executed. Raises: OSError where that is refused."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create(NAME, flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd = os.memfd_create(NAME, flags)
    try:
        os.write(fd, content)
        os.fchmod(fd, 0o555)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return Fd(fd)
