"""The guest's init: which kind it is, and how that kind is asked to stop or to reboot.

    kind       poweroff        halt            reboot          source
    systemd    SIGRTMIN+4      SIGRTMIN+3      SIGRTMIN+5      systemd(1), "Signals"
    sysvinit   runlevel 0      runlevel 0      runlevel 6      init(8), its initctl FIFO; signals: inittab(5)
    busybox    SIGUSR2         SIGUSR1         SIGTERM         busybox init
    openrc     SIGTERM         SIGTERM         SIGINT          openrc-init
    runit      SIGCONT         SIGCONT         SIGCONT         runit(8), once its two files say which (`runitfiles`)
    s6         SIGPWR/SIGTERM  SIGPWR/SIGTERM  SIGINT          s6-svscan: what it has scripts for, else SIGTERM
    plain      SIGTERM         SIGTERM         -               the convention for programs

A program that is process 1 of a PID namespace never gets a signal it has no handler for, whoever sends it; so a plain
program that does not care about SIGTERM cannot be asked. `ask` says so instead of letting the caller wait for nothing.
What is read from a guest's root, and the FIFO in it, are the guest's: looked up by fd, never leaving the root. While
the guest runs, a lookup may wait for a server of the guest's without end: only the looker does that (`look.looks`).
"""

import errno
import os
import signal
import stat
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from insula.engine.spec import InitKind
from insula.kernel.beneath import CONTAINED, open_beneath


class PowerAction(Enum):
    """What an init is asked for."""

    POWEROFF = "poweroff"
    HALT = "halt"
    REBOOT = "reboot"


class Way(Enum):
    """How init may be asked."""

    ANY = "any"
    """As its kind prefers."""
    FIFO = "fifo"
    """Through its initctl FIFO only, whatever its kind."""
    SIGNAL = "signal"


class InitAnswer(Enum):
    """What is known right after asking; whether init obeys is seen by waiting for it, with a deadline."""

    ASKED = "asked"
    UNHEARD = "unheard"
    """Init has no handler for the signal, so the kernel drops it."""
    NO_WAY = "no way"
    """This kind of init cannot be asked for that, or has no FIFO where one was demanded."""


_RTMIN = 34
"""SIGRTMIN of the GNU C library, which systemd counts from; the kernel's own is 32."""

_SIGNALS: dict[InitKind, dict[PowerAction, int]] = {
    InitKind.SYSTEMD: {
        PowerAction.HALT: _RTMIN + 3,
        PowerAction.POWEROFF: _RTMIN + 4,
        PowerAction.REBOOT: _RTMIN + 5,
    },
    InitKind.SYSVINIT: {
        # Both as far as inittab says so: `powerwait` and `ctrlaltdel`.
        PowerAction.HALT: signal.SIGPWR,
        PowerAction.POWEROFF: signal.SIGPWR,
        PowerAction.REBOOT: signal.SIGINT,
    },
    InitKind.BUSYBOX: {
        PowerAction.HALT: signal.SIGUSR1,
        PowerAction.POWEROFF: signal.SIGUSR2,
        PowerAction.REBOOT: signal.SIGTERM,
    },
    InitKind.OPENRC: {
        PowerAction.HALT: signal.SIGTERM,
        PowerAction.POWEROFF: signal.SIGTERM,
        PowerAction.REBOOT: signal.SIGINT,
    },
    InitKind.RUNIT: dict.fromkeys(PowerAction, signal.SIGCONT),
    InitKind.S6: {PowerAction.HALT: signal.SIGTERM, PowerAction.POWEROFF: signal.SIGTERM},
    InitKind.PLAIN: {PowerAction.HALT: signal.SIGTERM, PowerAction.POWEROFF: signal.SIGTERM},
}

_S6_SCRIPTS = {
    PowerAction.HALT: signal.SIGPWR,
    PowerAction.POWEROFF: signal.SIGPWR,
    PowerAction.REBOOT: signal.SIGINT,
}
"""What s6-linux-init has scripts for. Without one of that name s6-svscan passes over SIGPWR, and ends at SIGINT as at
SIGTERM."""
_PREFER_FIFO = frozenset({InitKind.SYSVINIT})
_FIFOS = ("/run/initctl", "/dev/initctl")
_RUNLEVELS = {PowerAction.HALT: "0", PowerAction.POWEROFF: "0", PowerAction.REBOOT: "6"}
_REQUEST = struct.Struct("=iiii368x")
"""struct init_request: magic, command, runlevel, seconds until SIGKILL. Source: sysvinit's initreq.h."""
_REQUEST_MAGIC = 0x03091969
_REQUEST_RUNLEVEL = 1
_GRACE = 0


def signal_for(kind: InitKind, action: PowerAction) -> int | None:
    """Return the signal that asks this kind of init, None if there is none."""
    return _SIGNALS[kind].get(action)


def runlevel_request(action: PowerAction) -> bytes:
    """Return what to write into an initctl FIFO."""
    return _REQUEST.pack(_REQUEST_MAGIC, _REQUEST_RUNLEVEL, ord(_RUNLEVELS[action]), _GRACE)


@dataclass(frozen=True, kw_only=True, slots=True)
class InitProcess:
    """A running init. pid, pidfd: as this host has them."""

    pid: int
    pidfd: int
    kind: InitKind


def request(init: InitProcess, actions: Sequence[PowerAction], ways: Sequence[Way]) -> InitAnswer:
    """Ask a running init for the first of actions that it knows, in the first of ways that it has.

    Raises: OSError(ESRCH) if it is gone.
    """
    for action in actions:
        for way in ways:
            answer = ask(init.kind, action, pid=init.pid, pidfd=init.pidfd, way=way)
            if answer is not InitAnswer.NO_WAY:
                return answer
    return InitAnswer.NO_WAY


def ask(kind: InitKind, action: PowerAction, *, pid: int, pidfd: int, way: Way = Way.ANY) -> InitAnswer:
    """Ask a running init to end; return whether it can have heard.

    pid, pidfd: of init, as this host has them. Raises: OSError(ESRCH) if it is gone.
    """
    if way is Way.FIFO or (way is Way.ANY and kind in _PREFER_FIFO):
        if _write_fifo(pid, pidfd, runlevel_request(action)):
            return InitAnswer.ASKED
        if way is Way.FIFO:
            return InitAnswer.NO_WAY
    number = signal_for(kind, action)
    if kind is InitKind.S6 and _has_script(pid, _S6_SCRIPTS[action]):
        number = _S6_SCRIPTS[action]
    if number is None:
        return InitAnswer.NO_WAY
    heard = _hears(pid, number)
    signal.pidfd_send_signal(pidfd, number)
    return InitAnswer.ASKED if heard else InitAnswer.UNHEARD


def _has_script(pid: int, number: signal.Signals) -> bool:
    """Whether s6-svscan runs a script for a signal: it looks below the directory it is in. Source: its manual."""
    try:
        directory = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(open_beneath(directory, f".s6-svscan/{number.name}", os.O_PATH))
    except OSError:
        return False
    finally:
        os.close(directory)
    return True


def _write_fifo(pid: int, pidfd: int, request: bytes) -> bool:
    """Write request to the guest's initctl FIFO if it has one that somebody reads; return whether that was so."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Init is still there, so its pid was nobody else's when the root was opened.
        signal.pidfd_send_signal(pidfd, 0)
        return any(_write_to(root, path, request) for path in _FIFOS)
    finally:
        os.close(root)


def _write_to(root: int, path: str, request: bytes) -> bool:
    fifo = _opened(root, path, stat.S_ISFIFO, os.O_WRONLY | os.O_NONBLOCK)
    if fifo is None:
        return False  # also if nobody reads it (ENXIO)
    try:
        return os.write(fifo, request) == len(request)
    except OSError:
        return False
    finally:
        os.close(fifo)


def _opened(root: int, path: str, is_kind: Callable[[int], bool], flags: int) -> int | None:
    """Return an fd of what is at path if its mode is of that kind, None if it is not or cannot be opened.

    Looked at before it is opened: opening a device would already be an act.
    """
    try:
        place = open_beneath(root, path, os.O_PATH, resolve=CONTAINED)
    except OSError:
        return None
    try:
        if is_kind(os.fstat(place).st_mode):
            return os.open(f"/proc/self/fd/{place}", flags | os.O_CLOEXEC)
    except OSError:
        return None
    finally:
        os.close(place)
    return None


def _hears(pid: int, number: int) -> bool:
    """Whether a process may take notice of a signal: unless it surely does not.

    It does if it has a handler, or blocks the signal to read it from a signalfd, or waits for it in sigtimedwait(2), as
    busybox and most small inits do; what is waited for is in no mask meanwhile.
    Source: proc_pid_status(5), SigCgt and SigBlk; the reason: signal(7) and pid_namespaces(7) on process 1.
    """
    for _ in range(_LOOKS):
        if _in_masks(pid, number):
            return True
        call = _present_call(pid)
        if call is None or call == _SIGTIMEDWAIT.get(os.uname().machine):
            return True
        if call != _RUNNING:
            # It sleeps elsewhere; but it may have left sigtimedwait between the two looks.
            return _in_masks(pid, number)
        time.sleep(_MOMENT)
    return True


def _in_masks(pid: int, number: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            masks = {name: value for name, _, value in (line.partition(":") for line in file)}
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(pid)) from None
    return bool((int(masks["SigCgt"], 16) | int(masks["SigBlk"], 16)) >> (number - 1) & 1)


_SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137", "riscv64": "137", "ppc64le": "176", "s390x": "177"}
"""rt_sigtimedwait(2) by its number. Source: the kernel's syscall tables."""


_RUNNING = "running"
"""What the kernel says of a process that is on its way into a call, out of one, or in none."""
_LOOKS = 5
_MOMENT = 0.001


def _present_call(pid: int) -> str | None:
    """Return the number of the call a process sleeps in, None if it is not told. Source: proc_pid_syscall(5)."""
    try:
        with open(f"/proc/{pid}/syscall") as file:
            return file.read().split()[0]
    except (OSError, IndexError):
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signature:
    """Bytes that only this kind's program has."""

    kind: InitKind
    text: bytes


_MARKS = (
    _Signature(kind=InitKind.BUSYBOX, text=b"BusyBox v"),
    _Signature(kind=InitKind.SYSTEMD, text=b"libsystemd-core"),
    _Signature(kind=InitKind.OPENRC, text=b"OpenRC init version"),
    _Signature(kind=InitKind.SYSVINIT, text=b"/initctl"),
    _Signature(kind=InitKind.RUNIT, text=b"/sbin/runit\0"),
    # Scripts, which begin s6-svscan in the end.
    _Signature(kind=InitKind.S6, text=b"s6-svscan"),
    _Signature(kind=InitKind.S6, text=b"s6-linux-init"),
    _Signature(kind=InitKind.S6, text=b"s6-overlay"),
)
_NAMES = {
    "systemd": InitKind.SYSTEMD,
    "openrc-init": InitKind.OPENRC,
    "runit": InitKind.RUNIT,
    "runit-init": InitKind.RUNIT,
    "s6-svscan": InitKind.S6,
}
_MULTI_CALL = "busybox"
_INIT_APPLETS = frozenset({"init", "linuxrc"})
_MOST_BYTES = 8 << 20


_SYSTEMS = frozenset({*_NAMES, *_INIT_APPLETS})


def starts_system(argv: Sequence[str]) -> bool:
    """Whether argv is called like an init that starts a system with gettys, not a single program."""
    name = argv[0].rpartition("/")[2]
    return name in _SYSTEMS or (name.startswith(_MULTI_CALL) and argv[1:2] == ["init"])


def detect(root: int, argv: Sequence[str]) -> InitKind:
    """Return which kind of init argv starts in the root behind fd `root`; PLAIN for what is no known init.

    Links in the root count as the guest would see them; nothing in it is trusted beyond its own container.
    """
    name = argv[0].rpartition("/")[2]
    applet = argv[1] if name.startswith(_MULTI_CALL) and len(argv) > 1 else name
    # Whoever holds a lease on a file would make us wait for it: fcntl(2), "Leases".
    program = _opened(root, argv[0], stat.S_ISREG, os.O_RDONLY | os.O_NONBLOCK)
    if program is None:
        return InitKind.PLAIN
    try:
        target = os.readlink(f"/proc/self/fd/{program}").rpartition("/")[2]
        if target in _NAMES:
            return _NAMES[target]
        if applet not in _INIT_APPLETS:
            return InitKind.PLAIN
        found = os.fstat(program)
        return _by_content(_InitFile(device=found.st_dev, inode=found.st_ino, changed=found.st_ctime_ns, fd=program))
    finally:
        os.close(program)


@dataclass(frozen=True, kw_only=True, slots=True)
class _InitFile:
    """A program's file, compared by what changes when its content does: two megabytes are not read at every start."""

    device: int
    inode: int
    changed: int
    fd: int = field(compare=False)


@lru_cache(maxsize=64)
def _by_content(program: _InitFile) -> InitKind:
    """Return the kind whose mark is in the program, PLAIN for none."""
    content = bytearray()
    while len(content) < _MOST_BYTES and (chunk := os.read(program.fd, 1 << 20)):
        content += chunk
    return next((mark.kind for mark in _MARKS if mark.text in content), InitKind.PLAIN)
