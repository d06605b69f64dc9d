"""A list that is packed a few members at a time, as an answer grows over many turns of the loop.

What is packed are bytes, which the interpreter's search for garbage passes over: tens of thousands of values that stay
until the whole answer is packed make it look through all that a daemon has, which holds up everybody.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from insula.errors import RpcError

_COUNT = Struct(">I")


class PackedList:
    """The one list of a body. pack: packs a body, given its fields."""

    def __init__(self, pack: Callable[[Sequence[Any]], bytes]) -> None:
        self._pack = pack
        self._pieces: list[bytes] = []
        self._count = 0
        self.size = 0
        """Bytes so far."""

    def __len__(self) -> int:
        return self._count

    def add(self, members: Sequence[Any]) -> None:
        """Pack some more. Raises: RpcError if one does not fit."""
        piece = self._pack((members,))[_COUNT.size :]
        self._pieces.append(piece)
        self._count += len(members)
        self.size += len(piece)

    def packed(self, limit: int) -> bytes:
        """Return the list as it is sent. Raises: RpcError if it has more than `limit` members."""
        if self._count > limit:
            raise RpcError(f"{self._count} members in a list of at most {limit}")
        return _COUNT.pack(self._count) + b"".join(self._pieces)
