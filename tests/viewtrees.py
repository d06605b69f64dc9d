"""A small content of the machine view for tests of its server: a few files, a link, and a stream of lines."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from insula.kernel.cgroups.hierarchies import Hierarchies
from insula.view.viewedfiles import (
    WOULD_BLOCK,
    StreamWriter,
    ViewedGuest,
    ViewedKind,
    ViewedStream,
    ViewedTree,
    WouldBlockType,
    missing,
)

LONG = b"0123456789abcde\n" * 40_000
"""More than one READ brings."""


def viewed_guest(launch: str = "0" * 16, pid: int = 1) -> ViewedGuest:
    return ViewedGuest(
        uuid="6c4e2a1e-0000-4000-8000-000000000001",
        launch=launch,
        name="small",
        hierarchies=Hierarchies(),
        group="none",
        pid=pid,
        born=1,
    )


@dataclass
class Place:
    """An opener's."""

    line: int


class LineStream:
    """Lines, each read whole, by any number of readers; what is written is a further line."""

    def __init__(self) -> None:
        self.lines: list[bytes] = [b"first\n"]
        self.writers: list[StreamWriter] = []

    def open(self, *, taken: int | None = None) -> object:
        return Place(0 if taken is None else self._place(taken))

    def _place(self, taken: int) -> int:
        for place, line in enumerate(self.lines):
            if taken <= 0:
                return place
            taken -= len(line)
        return len(self.lines)

    def read(self, handle: object, size: int) -> bytes | WouldBlockType:
        assert isinstance(handle, Place)
        if handle.line >= len(self.lines):
            return WOULD_BLOCK
        handle.line += 1
        return self.lines[handle.line - 1][:size]

    def write(self, handle: object, data: bytes, writer: StreamWriter) -> int:
        self.lines.append(data)
        self.writers.append(writer)
        return len(data)

    def seek(self, handle: object, offset: int, whence: int) -> int:
        assert isinstance(handle, Place)
        handle.line = len(self.lines) if whence == os.SEEK_END else 0
        return 0

    def readable(self, handle: object) -> bool:
        assert isinstance(handle, Place)
        return handle.line < len(self.lines)

    def close(self, handle: object) -> None:
        pass


class SmallTree:
    """Files by their paths; `proc/count` counts its makings, and `proc/slow` takes a while."""

    def __init__(self, guest: ViewedGuest) -> None:
        self.guest = guest
        self.line_stream = LineStream()
        self.count = 0
        self.closed = False

    def kind(self, path: str) -> ViewedKind | None:
        return _KINDS.get(path)

    def names(self, path: str) -> Sequence[str]:
        start = f"{path}/" if path else ""
        below = (each.removeprefix(start) for each in _KINDS if each.startswith(start) and each != path)
        return [each for each in below if each and "/" not in each]

    def content(self, path: str) -> bytes:
        match path:
            case "proc/uptime":
                return b"1.00 2.00\n"
            case "proc/long":
                return LONG
            case "proc/slow":
                time.sleep(0.2)
                return b"slow\n"
            case "proc/count":
                self.count += 1
                return f"{self.count}\n".encode()
            case "proc/broken":
                raise RuntimeError("a fault of the content's")
            case "sys/devices/system/cpu/online":
                return b"0\n"
        raise missing(path)

    def target(self, path: str) -> str:
        return "../uptime" if path == "proc/below/link" else "nowhere"

    def stream(self, path: str) -> ViewedStream:
        return self.line_stream

    def tell(self, text: str) -> None:
        self.line_stream.lines.append(f"{text}\n".encode())

    def close(self) -> None:
        self.closed = True


_FILES = ("proc/uptime", "proc/long", "proc/slow", "proc/count", "proc/broken", "sys/devices/system/cpu/online")
_DIRECTORIES = ("", "proc", "proc/below", "dev", "sys", "sys/devices", "sys/devices/system", "sys/devices/system/cpu")
_KINDS = {
    **dict.fromkeys(_DIRECTORIES, ViewedKind.DIRECTORY),
    **dict.fromkeys(_FILES, ViewedKind.FILE),
    "proc/below/link": ViewedKind.LINK,
    "dev/kmsg": ViewedKind.STREAM,
}


class SmallContent:
    """Makes such trees."""

    def __init__(self) -> None:
        self.trees: list[SmallTree] = []

    def tree(self, guest: ViewedGuest, kept: int | None) -> ViewedTree:
        self.trees.append(SmallTree(guest))
        return self.trees[-1]

    def wakes(self) -> Sequence[int]:
        return ()

    def stirred(self, descriptor: int) -> Sequence[ViewedTree]:
        return ()

    def close(self) -> None:
        pass
