"""Starting a helper that carries one card's traffic, with as little as it needs of the host and of the guest.

    python -I -c "from insula.network.usermode.helperlauncher import main; main()" NAME

NAME is what the helper is found by until it is known. Read from the standard input is a `HelperLaunch` as JSON, once we
are in the control group that is the helper's. Printed is the pid of the helper once it carries traffic; else its own
words stand on the standard error, and the exit status is not 0.

The helper is in the host's network, and in the user namespace that the guest's network belongs to: what it may do with
capabilities it may do in the guest alone, and its id there means nothing to the host. It has a PID namespace of its
own, where it sees nobody else; its root is a file system in memory with the host's programs, read-only. Where the guest
has no user namespace, the helper has those capabilities on the host, and gives them up once it has the guest's card.
"""

import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, change, detached_copy, make_filesystem
from insula.kernel.privileges import become_with, set_no_new_privileges
from insula.kernel.process import CloneFlag, setns, unshare
from insula.network.sealedview import PROGRAMS, SETTINGS, SealedView, enter_view, resolver_directories, seal, show
from insula.network.usermode.helperwords import API, LOG, LOG_BYTES, NETWORK, OWN, READY, READY_DESCRIPTOR

LAUNCHER = (sys.executable, "-I", "-c", f"from {__name__} import main; main()")
"""The words before a helper's name."""

_CAPABILITIES = ("net_admin", "sys_admin", "setpcap", "net_bind_service")
"""In the user namespace of the guest's network: to enter it, to take the card there, and to give up the rest."""
_GET_USERNS = 0xB701
"""ioctl: the user namespace that a namespace belongs to. Source: ioctl_ns(2)."""
_RESOLVER = "/etc/resolv.conf"
_LIBRARIES = "/etc/ld.so.cache"
_DEVICES = (("/dev/null", 1, 3), ("/dev/urandom", 1, 9), ("/dev/net/tun", 10, 200))
_MOST_FILES = 65536
_FILE_BYTES = 4 * LOG_BYTES
_PATIENCE = 30.0
"""Seconds until a helper must be ready, on a host that is very busy."""
_ANSWER = 4096


@dataclass(frozen=True, kw_only=True)
class HelperLaunch:
    """A helper to be started. command: its program and words; network, host: open files of the guest's network
    namespace and of the host's, which we have; user: whom it is to be in the user namespace of the former;
    resolvers: nameservers that it is to offer beside those of the host, None where it reads the host's
    settings itself; log: a file of the host's that it writes to; requests: what it is asked for by its socket.
    """

    command: tuple[str, ...]
    network: int
    host: int
    user: int
    resolvers: tuple[str, ...] | None = None
    log: str | None = None
    requests: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "HelperLaunch":
        told = json.loads(text)
        lists = {key: tuple(each) for key, each in told.items() if isinstance(each, list)}
        return cls(**told | lists)


def main() -> NoReturn:
    text = sys.stdin.read()
    if not text:
        os._exit(1)  # whoever wanted it has gone
    launch = HelperLaunch.from_json(text)
    os.umask(0o022)
    said = os.memfd_create("said")
    try:
        pid = _started(launch, said)
    except OSError as error:
        os.write(said, f"{error}\n".encode())
        pid = None
    if pid is None:
        os.lseek(said, 0, os.SEEK_SET)
        os.write(sys.stderr.fileno(), os.read(said, _ANSWER))
        os._exit(1)
    os.write(sys.stdout.fileno(), str(pid).encode())
    os._exit(0)


@dataclass(frozen=True, kw_only=True)
class _Ids:
    """Whom a helper is. uid, gid: in the user namespace that it is in; owner: the same, as the host has them."""

    uid: int
    gid: int
    owner: tuple[int, int]


def _started(launch: HelperLaunch, said: int) -> int | None:
    """Return the pid of a helper that is ready, None for one that has ended before, and has said why."""
    namespace = user_namespace_of(launch.network)
    guest = not is_own(namespace)
    ids = _ids_in(namespace, launch.user) if guest else _Ids(uid=0, gid=0, owner=(0, 0))
    network = detached_copy(f"/proc/self/fd/{launch.network}")
    setns(launch.host, CloneFlag.NEWNET)
    for each in (launch.network, launch.host):
        os.set_inheritable(each, False)
    mounts = [(network, NETWORK)]
    if launch.log is not None:
        mounts.append((_log_file(launch.log, ids.owner), LOG))
    own_resolver = None if launch.resolvers is None else _resolver_text(launch.resolvers)
    settings = (*SETTINGS, *resolver_directories()) if own_resolver is None else (_LIBRARIES,)
    syslog = detached_copy("/dev/log") if os.path.exists("/dev/log") else None
    unshare(CloneFlag.NEWNS | CloneFlag.NEWIPC | CloneFlag.NEWPID)
    enter_view(SealedView(shown=(*PROGRAMS, *settings), own=OWN, owner=ids.owner))
    _make_devices()
    mounts += [(syslog, "/dev/log")] if syslog is not None else []
    for mount, place in mounts:
        show(mount, place)
    if own_resolver is not None:
        os.makedirs(os.path.dirname(_RESOLVER), exist_ok=True)
        with open(_RESOLVER, "w") as file:
            file.write(own_resolver)
    os.mkfifo(READY, 0o600)
    os.chown(READY, *ids.owner)
    ready = os.open(READY, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    child = os.fork()
    if not child:
        _become(launch, namespace if guest else None, ids, said)
    if not _is_ready(child, ready) or not _asked(launch.requests, said):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None
    seal()
    return child


def user_namespace_of(network: int) -> int:
    """Return an open file of the user namespace that a network namespace belongs to. Raises: OSError."""
    return fcntl.ioctl(network, _GET_USERNS)


def is_own(user_namespace: int) -> bool:
    """Whether a user namespace is the one that we are in."""
    there, here = os.fstat(user_namespace), os.stat("/proc/self/ns/user")
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _ids_in(namespace: int, user: int) -> _Ids:
    """Return a user's ids in a user namespace, or those of its root where it has no such user."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        setns(namespace, CloneFlag.NEWUSER)
        texts = [Path(f"/proc/self/{kind}_map").read_text() for kind in ("uid", "gid")]
        os.write(writer, json.dumps(texts).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    if not text:
        raise OSError(errno.EPERM, "the guest's user namespace cannot be entered")
    (uid, host_uid), (gid, host_gid) = (_mapped(each, user) for each in json.loads(text))
    return _Ids(uid=uid, gid=gid, owner=(host_uid, host_gid))


def _mapped(text: str, user: int) -> tuple[int, int]:
    """Return a user's id inside, and the same as the host has it. text: a map, as /proc has it."""
    extents = [list(map(int, line.split())) for line in text.splitlines()]
    for wanted in (user, 0):
        for inside, outside, count in extents:
            if inside <= wanted < inside + count:
                return wanted, outside + wanted - inside
    inside, outside, _ = extents[0]
    return inside, outside


def _log_file(path: str, owner: tuple[int, int]) -> Fd:
    """Return a mount of the log, which is made unless it is there. One of a helper with other ids is kept as `….1`.

    Raises: OSError for what is no log of a helper: a file of the host's root, or no file.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(FileNotFoundError):
        now = os.lstat(path)
        if not stat.S_ISREG(now.st_mode) or now.st_nlink != 1 or now.st_uid == 0:
            raise OSError(errno.EEXIST, "the log is another's file: remove it, or name another", path)
        if (now.st_uid, now.st_gid) != owner:
            os.rename(path, f"{path}.1")
    try:
        log = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchown(log, *owner)
    except FileExistsError:
        log = os.open(path, flags)
    mount = detached_copy(f"/proc/self/fd/{log}")
    os.close(log)
    change(mount, add=MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC)
    return mount


def _resolver_text(resolvers: tuple[str, ...]) -> str:
    """Return the host's settings with further nameservers behind.

    pasta asks the first one, and offers the guest those that are not of the host's loopback, so the helper's own
    always.
    """
    try:
        with open(_RESOLVER) as file:
            text = file.read(_ANSWER)
    except OSError:
        text = ""
    return "\n".join((text.rstrip("\n"), *(f"nameserver {each}" for each in resolvers), ""))


def _make_devices() -> None:
    devices = make_filesystem("tmpfs", [("size", "16k"), ("mode", "755")], attributes=MountAttribute.NO_SUID)
    show(devices, "/dev")
    os.mkdir("/dev/net")
    for path, major, minor in _DEVICES:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        os.chmod(path, 0o666)


def _become(launch: HelperLaunch, namespace: int | None, ids: _Ids, said: int) -> NoReturn:
    try:
        show(make_filesystem("proc", attributes=MountAttribute.NO_SUID | MountAttribute.NO_DEVICES), "/proc")
        null = os.open("/dev/null", os.O_RDWR)
        for number, descriptor in enumerate((null, null, said)):
            os.dup2(descriptor, number)
        for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _FILE_BYTES)):
            resource.setrlimit(kind, (most, most))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # passt of 2023 takes one that it finds ignored for a failure
        os.umask(0o077)
        if namespace is not None:
            setns(namespace, CloneFlag.NEWUSER)
        become_with(_CAPABILITIES, uid=ids.uid, gid=ids.gid)
        set_no_new_privileges()
        program, *words = launch.command
        name = f"{sys.argv[1]}/{os.path.basename(program)}"  # whose last part tells pasta that it is not passt
        if READY_DESCRIPTOR in words:
            ready = os.open(READY, os.O_WRONLY)  # inherited: slirp4netns takes a number
            words = [str(ready) if each == READY_DESCRIPTOR else each for each in words]
            os.set_inheritable(ready, True)
        os.execve(program, [name, *words], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError as error:
        os.write(said, f"{error}\n".encode())
    os._exit(126)


def _is_ready(child: int, ready: int) -> bool:
    """Wait for a helper's word; tell whether it came before its end, and within patience."""
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    events = dict(poll.poll(_PATIENCE * 1000))
    os.close(pidfd)
    return bool(events.get(ready, 0) & select.POLLIN)


def _asked(requests: tuple[str, ...], said: int) -> bool:
    """Ask a helper by its socket, one thing after the other; tell whether it does all of it.

    The socket has no name afterwards: nobody else can ask.
    """
    for request in requests:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(_PATIENCE)
            channel.connect(API)
            channel.sendall(request.encode())
            channel.shutdown(socket.SHUT_WR)
            answer = json.loads(channel.recv(_ANSWER) or b"{}")
        if "error" in answer:
            wanted = json.loads(request)["arguments"]
            where = f"{wanted['host_addr']}, port {wanted['host_port']} ({wanted['proto']})"
            os.write(said, f"{where}: {answer['error'].get('desc', answer['error'])}\n".encode())
            return False
    if requests:
        os.unlink(API)
    return True
