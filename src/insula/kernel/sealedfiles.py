"""Files in memory that nobody can change, kept for those who are given the same content again."""

import os
from collections import OrderedDict

from insula.kernel.fds import Fd, sealed_file

_AT_ONCE = 2
"""Files that one caller may need together."""


class SealedFiles:
    """Sealed files by their content, the latest of them. Close it in the end.

    most: how many are kept; size: how many bytes together, though the latest two always are.
    """

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        self._held = 0
        """Bytes."""
        self._files: OrderedDict[bytes, Fd] = OrderedDict()

    def of(self, name: str, content: bytes) -> Fd:
        """Return a file that holds content, which is closed when as many or as much of others have been asked for.

        Who is given a duplicate shares its offset. name: for people who look at a new one. Raises: OSError.
        """
        fd = self._files.get(content)
        if fd is None:
            fd = self._files[content] = sealed_file(name, content)
            self._held += len(content)
            while len(self._files) > self._most or (self._held > self._size and len(self._files) > _AT_ONCE):
                oldest, file = self._files.popitem(last=False)
                self._held -= len(oldest)
                os.close(file)
        else:
            self._files.move_to_end(content)
        return fd

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        self._held = 0
