"""Tries, with bare system calls, whether overlayfs takes idmapped layers: the probe behind `overlay.idmapped`."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path

from tests import libc
from tests.libc import MountFlag, Namespace
from tests.testhost import in_thread
from tests.waiting import until

# Numbers of x86-64 and every newer port alike. Source: linux/unistd.h, linux/mount.h.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _MOUNT_ATTR_IDMAP, _AT_EMPTY_PATH, _AT_FDCWD = (
    1,
    4,
    0x00100000,
    0x1000,
    -100,
)

_raw = ctypes.CDLL(None, use_errno=True)


def overlay_on_idmapped_layers(scratch: Path) -> None:
    """Mount an overlay of idmapped layers below scratch, write through it, and undo all.

    Raises: OSError naming the call that the kernel refuses.
    """
    in_thread(lambda: _try(scratch))


def _try(scratch: Path) -> None:
    libc.unshare(Namespace.MOUNT)
    libc.mount("", "/", flags=MountFlag.RECURSIVE | MountFlag.PRIVATE)
    owner = subprocess.Popen(["unshare", "--user", "sleep", "60"])
    try:
        _write_map(owner.pid)
        (scratch / "plain/lower").mkdir(parents=True)
        (scratch / "plain/upper").mkdir()
        (scratch / "plain/work").mkdir()
        (scratch / "shifted").mkdir()
        (scratch / "merged").mkdir()
        user_namespace = os.open(f"/proc/{owner.pid}/ns/user", os.O_RDONLY)
        try:
            _attach_idmapped(scratch / "plain", scratch / "shifted", user_namespace)
        finally:
            os.close(user_namespace)
        shifted = scratch / "shifted"
        layers = f"lowerdir={shifted}/lower,upperdir={shifted}/upper,workdir={shifted}/work"
        libc.mount("overlay", str(scratch / "merged"), "overlay", options=layers)
        if (scratch / "merged").stat().st_uid != 100000:
            raise OSError("the overlay does not show the shifted owner")
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()


def _write_map(pid: int) -> None:
    """Wait until unshare(1) has made its user namespace, then map 0 to 100000 in it."""
    mine = os.readlink("/proc/self/ns/user")
    until(lambda: os.readlink(f"/proc/{pid}/ns/user") != mine, "unshare(1) making a user namespace")
    for table in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{table}").write_text("0 100000 65536")


def _attach_idmapped(source: Path, target: Path, user_namespace: int) -> None:
    tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC, what="open_tree")
    try:
        attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
        _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, ctypes.sizeof(attributes), what="mount_setattr")
        _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, what="move_mount")
    finally:
        os.close(tree)


def _call(number: int, *arguments: object, what: str) -> int:
    result = _raw.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return int(result)
