"""What the kernel tells of devices that come, go and change: processors on- and offline, devices of buses plugged in.

Sources: kernel document `core-api/kobject`, section "Uevents"; lib/kobject_uevent.c, whose messages begin with
`ACTION@/devices/...` and a zero byte; socket(7), SO_ATTACH_FILTER.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Callable, Sequence

from insula.kernel.classicbpf import INSTRUCTION

_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_ATTACH_FILTER = 26
_LOAD_WORD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_LONGEST = 4096
_PROCESSORS = b"@/devices/system/cpu/cpu"
_VIRTUAL = b"/devices/virtual/"

Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip where it is so, where it is not, and the number."""


class KernelEvents:
    """A socket that becomes readable when a device event came that passes a filter; the kernel drops all else unseen.

    program: decides by the message's first bytes; concerns: whether a message that passes it is meant.
    Raises: OSError where there is no such socket.
    """

    def __init__(self, program: Sequence[Instruction], concerns: Callable[[bytes], bool]) -> None:
        self._concerns = concerns
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _KOBJECT_UEVENT
        )
        try:
            code = ctypes.create_string_buffer(b"".join(INSTRUCTION.pack(*each) for each in program))
            length = struct.pack("HP", len(program), ctypes.addressof(code))
            self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, length)
            self._socket.bind((0, _KERNEL_GROUP))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bool:
        """Take what has come; return whether something meant is among it, as may be where something was lost."""
        concerned = False
        while True:
            try:
                text, sender = self._socket.recvfrom(_LONGEST)
            except BlockingIOError:
                return concerned
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                concerned = True
                continue
            # From the kernel itself: anybody may send to a netlink socket, if only root to a group of it.
            concerned |= sender[0] == 0 and self._concerns(text)

    def close(self) -> None:
        self._socket.close()


def processor_events() -> KernelEvents:
    """Return what tells of processors. Guests' network devices alone make a dozen events each: they wake nobody."""
    program = [
        (_LOAD_WORD, 0, 0, 0),
        (_EQUAL, 1, 0, _word(b"onli")),
        (_EQUAL, 0, 1, _word(b"offl")),
        (_RETURN, 0, 0, _LONGEST),
        (_RETURN, 0, 0, 0),
    ]
    return KernelEvents(program, tells_of_processor)


def plug_events() -> KernelEvents:
    """Return what tells of devices that are plugged in and pulled out; virtual ones, as guests' cards, wake nobody."""
    after_add, after_remove = len(b"add@/devices"), len(b"remove@/devices")
    program = [
        (_LOAD_WORD, 0, 0, 0),
        (_EQUAL, 3, 0, _word(b"add@")),
        (_EQUAL, 0, 4, _word(b"remo")),
        (_LOAD_WORD, 0, 0, after_remove),
        (_EQUAL, 2, 3, _word(b"/vir")),
        (_LOAD_WORD, 0, 0, after_add),
        (_EQUAL, 0, 1, _word(b"/vir")),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _LONGEST),
    ]
    return KernelEvents(program, tells_of_plug)


def _word(text: bytes) -> int:
    return int(struct.unpack(">I", text)[0])


def tells_of_processor(text: bytes) -> bool:
    """Whether a message of the kernel's is about a processor that went online or offline."""
    action, place = text.split(b"\0", 1)[0].partition(b"@")[::2]
    return action in (b"online", b"offline") and (b"@" + place).startswith(_PROCESSORS)


def tells_of_plug(text: bytes) -> bool:
    """Whether a message of the kernel's is about a device that came or went and that is more than a kernel's idea."""
    action, place = text.split(b"\0", 1)[0].partition(b"@")[::2]
    return action in (b"add", b"remove") and not place.startswith(_VIRTUAL)
