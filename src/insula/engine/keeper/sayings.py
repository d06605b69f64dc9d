"""What a process on its way into a guest sends to the keeper, of which a guest may have got hold before.

A descriptor from there can be of anything. Who closes, or reads, a file that the guest itself serves (FUSE), or a
socket that lingers, waits as long as the guest likes. So each is looked at first by what the kernel knows, which asks
nobody; what is not of a kind that such processes send the keeper does not touch: it is closed aside (`keeper.closing`).
"""

import functools
import os
import socket
from collections.abc import Iterable

from insula.engine.keeper.closing import close_aside
from insula.engine.keeper.protocol import Message, decode, receive_encoded
from insula.kernel.fds import Fd, close_all
from insula.kernel.filekinds import FileKind, is_path_only
from insula.kernel.sharedsockets import family_of
from insula.kernel.statx import cached_status_of

_MASTER = os.makedev(5, 2)
"""What every terminal's master is a node of. Source: Documentation/admin-guide/devices.txt."""


def receive_saying(channel: socket.socket) -> Message | None:
    """Return what a process says, None at the end. Raises: as `protocol.receive`; ValueError for what nobody sends."""
    received = receive_encoded(channel, part_with=_part_with)
    if received is None:
        return None
    encoded, fds = received
    if not all(map(_is_expected, fds)):
        _part_with(fds)
        raise ValueError("a descriptor of a kind that no process sends on its way")
    return decode(encoded, fds)


def _part_with(fds: Iterable[Fd]) -> None:
    """Close those of which closing waits for nobody; have the others closed."""
    kinds = {fd: _is_expected(fd) for fd in fds}
    close_all(fd for fd, expected in kinds.items() if expected)
    close_aside([fd for fd, expected in kinds.items() if not expected])


def _is_expected(fd: int) -> bool:
    """Tell whether it is a terminal's master, a netlink socket, or a process's; a pipe or null device is fine."""
    if is_path_only(fd):
        return False
    status = cached_status_of(fd)
    if status.kind is FileKind.SOCKET:
        return family_of(fd) == socket.AF_NETLINK
    kinds = status.kind in (FileKind.PIPE, FileKind.NULL) or (status.kind is FileKind.DEVICE and status.node == _MASTER)
    return kinds or status.device == _device_of_processes()


@functools.cache
def _device_of_processes() -> int:
    """The device of the kernel's own file system that descriptors of processes are in."""
    fd = os.pidfd_open(os.getpid())
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
