"""What the kernel tells of devices that come, go and change: here, of processors that go online and offline.

Sources: kernel document `core-api/kobject`, section "Uevents"; lib/kobject_uevent.c, whose messages begin with
`ACTION@/devices/...` and a zero byte; socket(7), SO_ATTACH_FILTER.
"""

import ctypes
import errno
import socket
import struct

from insula.kernel.classicbpf import INSTRUCTION

_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_ATTACH_FILTER = 26
_LOAD_WORD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_LONGEST = 4096
_PROCESSORS = b"@/devices/system/cpu/cpu"


class ProcessorEvents:
    """A socket that becomes readable when a processor went online or offline; the kernel drops all else unseen.

    Raises: OSError where there is no such socket.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _KOBJECT_UEVENT
        )
        try:
            self._drop_others()
            self._socket.bind((0, _KERNEL_GROUP))
        except OSError:
            self._socket.close()
            raise

    def _drop_others(self) -> None:
        """Guests' network devices alone make a dozen events each: only `online@` and `offline@` wake anybody."""
        words = [struct.unpack(">I", each)[0] for each in (b"onli", b"offl")]
        program = ctypes.create_string_buffer(
            INSTRUCTION.pack(_LOAD_WORD, 0, 0, 0)
            + INSTRUCTION.pack(_EQUAL, 1, 0, words[0])
            + INSTRUCTION.pack(_EQUAL, 0, 1, words[1])
            + INSTRUCTION.pack(_RETURN, 0, 0, _LONGEST)
            + INSTRUCTION.pack(_RETURN, 0, 0, 0)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 5, ctypes.addressof(program)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bool:
        """Take what has come; return whether processors are concerned, as they may be where something was lost."""
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
            concerned |= sender[0] == 0 and tells_of_processor(text)

    def close(self) -> None:
        self._socket.close()


def tells_of_processor(text: bytes) -> bool:
    """Whether a message of the kernel's is about a processor that went online or offline."""
    action, place = text.split(b"\0", 1)[0].partition(b"@")[::2]
    return action in (b"online", b"offline") and (b"@" + place).startswith(_PROCESSORS)
