"""The keeper's end by SIGTERM: once no guest is alive, and how guests ended that nobody has asked for is written down.

A line a guest, appended to a file that the keeper was given open when it began: UUID, launch, pid, wait status; `-` for
what is not known. The next daemon reads there what no keeper knows any more (`ended_before`).
"""

import os
from contextlib import suppress
from pathlib import Path

from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.heldtable import HeldTable

_UNKNOWN = "-"


class Farewell:
    """Whether the keeper is to end, and its last words. place: the open file, -1 if there is none."""

    def __init__(self, held: HeldTable, place: int) -> None:
        self._held = held
        self._place = place
        self.wanted = False

    def is_due(self, clients: int) -> bool:
        """Whether the keeper is told to end and holds nobody who lives. A client that is there asks for the rest."""
        if not self.wanted:
            return False
        return not self._held or (not clients and all(each.phase is StartPhase.EXITED for each in self._held.all()))

    def write(self) -> None:
        """Write down the ends that are held. On a full disk they are lost, as with the keeper's death."""
        for each in self._held.guests.values():
            if self._place >= 0 and each.status is not None:
                line = f"{each.guest} {each.launch or _UNKNOWN} {each.pid} {each.status}\n".encode()
                with suppress(OSError):
                    if os.write(self._place, line) < len(line):
                        os.write(self._place, b"\x00\n")  # so that the next line, if there is room again, is one


def ended_before(place: Path, uuid: str, launch: str | None, pid: int) -> int | None:
    """Return the wait status of a guest's init that a keeper which has ended wrote down, None if none did."""
    try:
        # What no line end follows was cut off, by a full disk: half a status is another one.
        lines = place.read_text(errors="replace").split("\n")[:-1]
    except OSError:
        return None
    for line in lines:
        words = line.split(" ")
        if words[:3] == [uuid, launch or _UNKNOWN, str(pid)] and len(words) == 4 and words[3].isdecimal():
            return int(words[3])
    return None
