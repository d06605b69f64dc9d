"""Processes that were cloned for an order and have said nothing: found by the one thing that is theirs alone.

A guest can stop a process that enters it before its first call, and freeze the group that it is to be cloned into. Its
order ends at a time limit then, and it shall not stay.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_holders(channel: int) -> None:
    """Kill our children that have an end of a channel. channel: that end's inode.

    What cannot be looked at stays; it executes nothing, as its channel has ended.
    """
    wanted = f"socket:[{channel}]"
    with suppress(OSError):  # a kernel that does not list children
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            with suppress(OSError):
                _kill_holder(int(child), wanted)


def _kill_holder(pid: int, wanted: str) -> None:
    """Kill a child, which keeps its pid until we reap it, if one of its descriptors is what is wanted."""
    directory = f"/proc/{pid}/fd"
    for number in os.listdir(directory):
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(f"{directory}/{number}") == wanted:
                os.kill(pid, signal.SIGKILL)
                return
