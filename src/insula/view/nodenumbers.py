"""Numbers for the paths of a view, the same in every process: a view that takes over knows what others gave out.

The kernel names a file by the number that it was told at the look-up, for as long as it likes. The number follows from
the path (FNV-1a, 64 bits), so all guests' views share one table, which holds only paths that exist: what a guest asks
for cannot make it grow. A number that this process has not given out yet is found by walking the tree once.
"""

from insula.kernel.fuse import ROOT_NODE
from insula.view.viewedfiles import ViewedKind, ViewedTree, missing

_BASIS, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_WALKED_MAX = 100_000
"""Paths that a walk looks at: more than any host has processors, caches and nodes."""


class NodeNumbers:
    """The table."""

    def __init__(self) -> None:
        self._paths = {ROOT_NODE: ""}
        self._numbers = {"": ROOT_NODE}

    def __len__(self) -> int:
        return len(self._paths)

    def number(self, path: str) -> int:
        """Return the number of a path that exists. Raises: RuntimeError if another path has it."""
        known = self._numbers.get(path)
        if known is not None:
            return known
        number = numbered(path)
        if self._paths.setdefault(number, path) != path:
            raise RuntimeError(f"{path} and {self._paths[number]} have the same number")
        self._numbers[path] = number
        return number

    def path(self, number: int, tree: ViewedTree) -> str:
        """Return the path of a number; a tree that has it is walked if nobody has asked for that path yet.

        Raises: FileNotFoundError if the tree has it no more.
        """
        known = self._paths.get(number)
        if known is None:
            self._walk(tree)
            known = self._paths.get(number)
        if known is None:
            raise missing(f"number {number}")
        return known

    def _walk(self, tree: ViewedTree) -> None:
        waiting, seen = [""], 0
        while waiting and seen < _WALKED_MAX:
            path = waiting.pop()
            seen += 1
            try:
                names = tree.names(path) if tree.kind(path) is ViewedKind.DIRECTORY else ()
            except OSError:
                continue  # it went meanwhile
            for name in names:
                below = f"{path}/{name}" if path else name
                self.number(below)
                waiting.append(below)


def numbered(path: str) -> int:
    """Return the number of a path below the root."""
    number = _BASIS
    for byte in path.encode(errors="surrogateescape"):
        number = ((number ^ byte) * _PRIME) & _MASK
    return number if number > ROOT_NODE else number + 2
