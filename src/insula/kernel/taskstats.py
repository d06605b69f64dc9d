"""How many tasks of a control group of v1 are in which state, counted by the kernel itself.

Sources: kernel document `admin-guide/cgroup-v1/cgroups` and `accounting/cgroupstats`, uapi headers linux/cgroupstats.h,
linux/taskstats.h, linux/genetlink.h; netlink(7).
"""

import os
import socket
import struct
from dataclasses import dataclass

_NETLINK_GENERIC = 16
_CONTROL = 16
_GET_FAMILY = 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_CGROUPSTATS_GET = 4
_GROUP_FD = 1
_STATS = 1
_ERROR = 2
_REQUEST = 1
_HEADER = struct.Struct("=IHHIIBBH")
"""struct nlmsghdr and struct genlmsghdr."""
_ATTRIBUTE = struct.Struct("=HH")
_COUNTS = struct.Struct("=5Q")
_ANSWER = 8192
_PATIENCE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskStates:
    """Numbers of threads. waiting: uninterruptibly, for input and output or not."""

    running: int
    waiting: int
    total: int


class CgroupStats:
    """A question to the kernel about groups of v1.

    Raises: OSError where the kernel has no task statistics, or this network namespace is not the host's first one, the
    only one that it answers in.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        self._sequence = 0
        try:
            self._socket.settimeout(_PATIENCE)
            name = _attribute(_FAMILY_NAME, b"TASKSTATS\0")
            self._family = int.from_bytes(self._asked(_CONTROL, _GET_FAMILY, name)[_FAMILY_ID][:2], "little")
        except BaseException:
            self._socket.close()
            raise

    def states(self, group: str) -> TaskStates:
        """Count the tasks of a v1 group, those of groups below it not. Raises: OSError."""
        fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            answer = self._asked(self._family, _CGROUPSTATS_GET, _attribute(_GROUP_FD, struct.pack("=I", fd)))
        finally:
            os.close(fd)
        sleeping, running, stopped, uninterruptible, input_output = _COUNTS.unpack_from(answer[_STATS])
        waiting = uninterruptible + input_output
        return TaskStates(running=running, waiting=waiting, total=sleeping + running + stopped + waiting)

    def close(self) -> None:
        self._socket.close()

    def _asked(self, family: int, command: int, attributes: bytes) -> dict[int, bytes]:
        self._sequence += 1
        length = _HEADER.size + len(attributes)
        self._socket.send(_HEADER.pack(length, family, _REQUEST, self._sequence, 0, command, 1, 0) + attributes)
        while True:
            answer = self._socket.recv(_ANSWER)
            _, kind, _, sequence, _, _, _, _ = _HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue  # of a question that was given up
            if kind == _ERROR:
                code = -struct.unpack_from("=i", answer, 16)[0]
                raise OSError(code, f"asking for task statistics: {os.strerror(code)}")
            return _attributes(answer[_HEADER.size :])


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found
