"""What processes of a guest were started with, read in a process that may be killed.

The words stand in the processes' own memory, which may be a file of a file system that never answers. The name that
the kernel keeps of each does not; whoever is not answered here goes by that.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from insula.kernel.fds import Fd

WORDS_MAX = 4096
"""Bytes of each that are read."""


def read_commands(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, str]:
    """pids, of the host → by pid what each was started with, as one text; those that have none are left out."""
    del fds
    found = {}
    for pid in arguments["pids"]:
        with suppress(OSError), open(f"/proc/{int(pid)}/cmdline", "rb", buffering=0) as file:
            words = (file.read(WORDS_MAX) or b"").rstrip(b"\0").split(b"\0")
            if words != [b""]:
                found[str(pid)] = b" ".join(words).decode(errors="replace")
    return found
