"""Rooms of the tests, and what each may cost: budgets.toml says which files are one room where directories do not."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests import hosts

BUDGETS = Path(__file__).with_name("budgets.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Processor seconds of a usual host (processortime.py) that a room may use on a host, and in the machine."""

    host: float
    machine: float

    def on(self, profile: str) -> float:
        """Return what holds there."""
        return self.machine if profile in hosts.MACHINES else self.host


@dataclass(frozen=True, kw_only=True, slots=True)
class Budgets:
    """The file: a budget for every room, other ones for some, and rooms of files: name → patterns."""

    every: Budget
    own: Mapping[str, Budget]
    files: Mapping[str, tuple[str, ...]]

    def room(self, file: str) -> str:
        """Return the room of a test file: one of those named with patterns, else its directory, two levels deep."""
        for name, patterns in self.files.items():
            if any(fnmatch(file, pattern) for pattern in patterns):
                return name
        words = file.removeprefix("tests/").split("/")
        return "/".join(words[: min(2, len(words) - 1)]) or "tests"

    def of(self, room: str) -> Budget:
        """Return the room's budget."""
        return self.own.get(room, self.every)

    def excess(self, used: Mapping[str, Mapping[str, float]]) -> list[str]:
        """Return a line for each room that used more than its budget. used: profile → room → processor seconds."""
        return [
            f"{room} used {seconds:.0f} processor seconds on {profile}, {self.of(room).on(profile):g} are its budget"
            f" ({BUDGETS.name}): make its tests cheaper, split the room, or say there why it may have more"
            for profile, rooms in used.items()
            for room, seconds in rooms.items()
            if seconds > self.of(room).on(profile)
        ]


def budgets(path: Path = BUDGETS) -> Budgets:
    """Read the file."""
    table = tomllib.loads(path.read_text())
    every = Budget(**table["every"])
    own = {
        name: Budget(**{"host": every.host, "machine": every.machine, **each}) for name, each in table["own"].items()
    }
    return Budgets(every=every, own=own, files={name: tuple(patterns) for name, patterns in table["files"].items()})


def by_room(costs: Mapping[str, float], known: Budgets) -> dict[str, float]:
    """Return the sums of what is told for tests, room by room."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, seconds in costs.items():
        sums[known.room(name.partition("::")[0])] += seconds
    return dict(sums)
