"""A hostile guest: below an overlay in it lies a FUSE file system whose server takes requests and never answers them.

The server is a fork of the test program that enters the guest's namespaces and groups, so it dies with the guest. A
FUSE mount of a guest's refuses the host's processes; an overlay above it asks in the name of who mounted it, for all.
Source: the kernel's documents on FUSE and overlayfs, linux/fuse.h.
"""

import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

from insula.kernel.process import CloneFlag, set_dumpable, setns

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_HEADER = struct.Struct("=IIQQIIII")
_OUT_HEADER = struct.Struct("=IiQ")
_GETATTR, _STATFS, _INIT = 3, 17, 26
_FORGETS = (2, 42)
_NAMESPACES = (
    CloneFlag.NEWUSER | CloneFlag.NEWNS | CloneFlag.NEWPID | CloneFlag.NEWUTS | CloneFlag.NEWIPC | CloneFlag.NEWNET
)


def cover(init: int, target: str = "/run") -> None:
    """Cover a directory of the guest whose first process is init (the host's pid); return once it does not answer."""
    ready, told = os.pipe()
    guide = os.fork()
    if guide == 0:
        try:
            os.close(ready)
            _enter(init)
            # Two steps, so that its parent is the guest's init, as that of any process which began inside.
            within = os.fork()
            if within == 0:
                if os.fork() == 0:
                    _serve(target, told)
                os._exit(0)
            os.waitpid(within, 0)
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(guide, 0)
    with open(ready, "rb") as said:
        answer = said.read().decode()
    assert answer == "ready", f"the guest's file system was not covered: {answer or 'no word'}"


def _enter(init: int) -> None:
    for line in Path(f"/proc/{init}/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        _join(kinds, path)
    pidfd = os.pidfd_open(init)
    setns(pidfd, _NAMESPACES)
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    set_dumpable(False)


def _join(kinds: str, path: str) -> None:
    kind = "cgroup2" if not kinds else kinds.removeprefix("name=")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        _, _, _, root, place, *_ = left.split()
        name, _, options = right.split(" ", 2)
        if (name == "cgroup2" and not kinds) or (name == "cgroup" and kind in options.split(",")):
            below = path if root == "/" else path.removeprefix(root)
            Path(place, below.lstrip("/"), "cgroup.procs").write_text("0")
            return


def _serve(target: str, told: int) -> None:
    try:
        base = "/tmp/silent"
        for name in ("fuse", "empty"):
            os.makedirs(f"{base}/{name}", exist_ok=True)
        device = os.open("/dev/fuse", os.O_RDWR)
        server = _Server(device)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        _mount("silent", f"{base}/fuse", "fuse", options)
        threading.Thread(target=server.run, daemon=True).start()
        _mount("cover", target, "overlay", f"lowerdir={base}/fuse:{base}/empty")
        server.silent = True
        os.write(told, b"ready")
    except BaseException as error:
        os.write(told, repr(error).encode())
        os._exit(1)
    os.close(told)
    threading.Event().wait()


class _Server:
    """Answers as an empty directory until it is silent."""

    def __init__(self, device: int) -> None:
        self._device = device
        self.silent = False

    def run(self) -> None:
        while True:
            request = os.read(self._device, 1 << 20)
            _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
            if opcode not in _FORGETS and not self.silent:
                self._answer(opcode, unique, request[_IN_HEADER.size :])

    def _answer(self, opcode: int, unique: int, body: bytes) -> None:
        known = {_INIT: self._init, _GETATTR: self._attributes, _STATFS: self._statistics}
        if opcode in known:
            payload = known[opcode](body)
            os.write(self._device, _OUT_HEADER.pack(_OUT_HEADER.size + len(payload), 0, unique) + payload)
        else:
            os.write(self._device, _OUT_HEADER.pack(_OUT_HEADER.size, -errno.ENOENT, unique))

    def _init(self, body: bytes) -> bytes:
        return struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 12, 65536, 1, 16, 0, 0)

    def _attributes(self, body: bytes) -> bytes:
        attributes = struct.pack("=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        return struct.pack("=QII", 0, 0, 0) + attributes

    def _statistics(self, body: bytes) -> bytes:
        return struct.pack("=QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)


def _mount(source: str, target: str, kind: str, options: str) -> None:
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
