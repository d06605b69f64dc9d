"""Changes of several control files that were cut short: what the files said before is noted on the group meanwhile.

The note is an extended attribute of the group's directory that only the host's root can change. A process that is
killed amid a change leaves it, and whoever finds the group undoes the change. Source: xattr(7), `trusted.`.
"""

import contextlib
import json
import os
from collections.abc import Iterator

from insula.kernel.cgroups import files

_NOTE = "trusted.insula.unfinished"


@contextlib.contextmanager
def noted(directory: str, *names: str) -> Iterator[None]:
    """Have on the group what its files of these names say, until the block is through.

    A kernel that keeps no such attributes, or a process that may not write them, keeps no change from being made.
    """
    said = {name: files.read_if_there(f"{directory}/{name}") for name in names}
    with contextlib.suppress(OSError):
        os.setxattr(directory, _NOTE, json.dumps(said).encode())
    try:
        yield
    finally:
        _forget(directory)


def is_noted(directory: str) -> bool:
    """Whether a change of a group was cut short."""
    try:
        os.getxattr(directory, _NOTE)
    except OSError:
        return False
    return True


def undo(directory: str) -> bool:
    """Write back what is noted, in the order of its names; return whether something was.

    Raises: OSError, and the note stays.
    """
    try:
        said = json.loads(os.getxattr(directory, _NOTE))
    except OSError:
        return False
    for name, text in said.items():
        if text is not None:
            files.write(f"{directory}/{name}", text)
    _forget(directory)
    return True


def _forget(directory: str) -> None:
    with contextlib.suppress(OSError):
        os.removexattr(directory, _NOTE)
