"""Frames: the header of every packet, and the splitting of a byte stream into packets, with the descriptors they carry.

    length | program | version | procedure | type | serial | status | body…       seven 32-bit words, big-endian

The length counts itself. A packet of type CALL_WITH_FDS or REPLY_WITH_FDS starts its body with the number of
descriptors (counted in the length); behind the packet comes one byte each (not counted), to which it is attached.
Source: libvirt's virnetprotocol.x; virnetsocket.c for the bytes that carry descriptors.
"""

from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from insula.errors import RpcError

PROTOCOL_VERSION: Final = 1
"""Every program is at version 1."""
LENGTH_MIN: Final = 28
LENGTH_MAX: Final = 32 * 1024 * 1024 + 4
FDS_MAX: Final = 32
STREAM_DATA_MAX: Final = 262_120
"""Bytes of stream data in one packet, as libvirt sends them."""


class RpcProgram(IntEnum):
    """The programs that share a connection. INSULA is our own; its number spells our name. QEMU has no rows here."""

    REMOTE = 0x20008086
    QEMU = 0x20008087
    LXC = 0x00068000
    KEEPALIVE = 0x6B656570
    INSULA = 0x494E5355


class PacketType(IntEnum):
    """What a packet is."""

    CALL = 0
    REPLY = 1
    MESSAGE = 2
    STREAM = 3
    CALL_WITH_FDS = 4
    REPLY_WITH_FDS = 5
    STREAM_HOLE = 6


class Status(IntEnum):
    """How a reply or a stream goes on."""

    OK = 0
    ERROR = 1
    CONTINUE = 2


class Frame(NamedTuple):
    """One packet. body: what follows the header, without the number of descriptors; fds: in the order sent."""

    program: int
    version: int
    procedure: int
    type: int
    serial: int
    status: int
    body: bytes
    fds: tuple[int, ...] = ()


_HEADER: Final = Struct(">IIIiIIi")
_COUNT: Final = Struct(">I")
_WITH_FDS: Final = (PacketType.CALL_WITH_FDS, PacketType.REPLY_WITH_FDS)
FD_CARRIER: Final = b"\0"
"""The byte that carries a descriptor; its value means nothing."""


def pack_frame(frame: Frame) -> bytes:
    """Return a packet's bytes; the carriers of its descriptors are to follow, one `FD_CARRIER` each.

    Raises: RpcError if it is too long or carries too many descriptors.
    """
    program, version, procedure, kind, serial, status, body, fds = frame
    if kind in _WITH_FDS:
        if len(fds) > FDS_MAX:
            raise RpcError(f"a packet with {len(fds)} file descriptors, of at most {FDS_MAX}")
        body = _COUNT.pack(len(fds)) + body
    length = _HEADER.size + len(body)
    if length > LENGTH_MAX:
        raise RpcError(f"a packet of {length} bytes, of at most {LENGTH_MAX}")
    return _HEADER.pack(length, program, version, procedure, kind, serial, status) + body


class Splitter:
    """Takes bytes in any chunks and gives whole frames.

    Descriptors are handed in with the chunk that holds their carrier byte, as recvmsg(2) delivers them. After an
    RpcError the stream cannot be followed any more; `take_fds` then has every descriptor that reached no frame.
    limit: bytes of a packet, at most LENGTH_MAX; the first four bytes of a longer one are an RpcError.
    """

    def __init__(self, limit: int = LENGTH_MAX) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._fds: deque[int] = deque()

    @property
    def buffered(self) -> int:
        """Bytes of the packet that is not all there yet."""
        return len(self._buffer)

    def feed(self, data: bytes, fds: Iterable[int] = ()) -> list[Frame]:
        """Return the frames that `data` completes.

        Raises: RpcError for a length outside its limits, for too many descriptors, for one without a packet that
        announces it, and for an announced one that did not come.
        """
        buffer = self._buffer
        buffer += data
        self._fds.extend(fds)
        frames: list[Frame] = []
        at = 0
        try:
            while (stop := self._cut(at, frames)) > at:
                at = stop
            if self._fds and len(self._fds) != self._carriers(at):
                raise RpcError("a file descriptor that no packet announces")
        except RpcError:
            for frame in frames:
                self._fds.extend(frame.fds)
            raise
        del buffer[:at]
        return frames

    def take_fds(self) -> list[int]:
        """Hand over the descriptors that came and belong to no frame, to be closed."""
        taken = list(self._fds)
        self._fds.clear()
        return taken

    def _cut(self, at: int, frames: list[Frame]) -> int:
        """Cut the frame that starts at `at`, if it is all there; return where the next one starts."""
        buffer = self._buffer
        have = len(buffer) - at
        if have < 4:
            return at
        length: int = _COUNT.unpack_from(buffer, at)[0]
        if not LENGTH_MIN <= length <= self.limit:
            raise RpcError(f"a packet of {length} bytes; {LENGTH_MIN} to {self.limit} are allowed")
        if have < length:
            return at
        _, program, version, procedure, kind, serial, status = _HEADER.unpack_from(buffer, at)
        start, stop = at + LENGTH_MIN, at + length
        fds: tuple[int, ...] = ()
        if kind in _WITH_FDS:
            count = self._announced(at, length)
            if have < length + count:
                return at
            fds = self._claim(count)
            start += 4
            stop += count
        body = bytes(buffer[start : at + length])
        frames.append(Frame(program, version, procedure, kind, serial, status, body, fds))
        return stop

    def _announced(self, at: int, length: int) -> int:
        """The number of descriptors that the packet at `at` announces."""
        if length < LENGTH_MIN + 4:
            raise RpcError("a packet with file descriptors that does not say how many")
        count: int = _COUNT.unpack_from(self._buffer, at + LENGTH_MIN)[0]
        if count > FDS_MAX:
            raise RpcError(f"a packet with {count} file descriptors, of at most {FDS_MAX}")
        return count

    def _claim(self, count: int) -> tuple[int, ...]:
        if count > len(self._fds):
            raise RpcError(f"{count} file descriptors announced, {len(self._fds)} came")
        return tuple(self._fds.popleft() for _ in range(count))

    def _carriers(self, at: int) -> int:
        """Carrier bytes that came for the unfinished packet at `at`."""
        have = len(self._buffer) - at
        if have < LENGTH_MIN + 4:
            return 0
        length, _, _, _, kind, _, _ = _HEADER.unpack_from(self._buffer, at)
        return max(0, have - int(length)) if kind in _WITH_FDS else 0
