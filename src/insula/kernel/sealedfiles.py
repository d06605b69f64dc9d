"""Files in memory that nobody can change, kept for those who are given the same content again."""

import os
from collections import OrderedDict

from insula.kernel.fds import Fd, sealed_file


class SealedFiles:
    """Sealed files by their content, the latest of them. Close it in the end. most: how many are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: OrderedDict[bytes, Fd] = OrderedDict()

    def of(self, name: str, content: bytes) -> Fd:
        """Return a file that holds content, which is closed when as many others have been asked for.

        Who is given a duplicate shares its offset. name: for people who look at a new one. Raises: OSError.
        """
        fd = self._files.get(content)
        if fd is None:
            fd = self._files[content] = sealed_file(name, content)
            if len(self._files) > self._most:
                os.close(self._files.popitem(last=False)[1])
        else:
            self._files.move_to_end(content)
        return fd

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
