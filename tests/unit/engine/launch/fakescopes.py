"""A systemd behind a fake bus that makes scopes as directories, and placeholders without a process."""

import itertools
import threading
from pathlib import Path

from jeepney import Message

from insula.engine.launch.placeholder import Placeholder
from insula.engine.launch.systembus import SystemBus
from insula.engine.launch.systemdscope import Scopes
from tests.unit.engine.launch.fakebus import FakeBus, member, refused, returned
from tests.waiting import patience

_NUMBERS = itertools.count(5000)


class Stand(Placeholder):
    """A placeholder that is no process."""

    def __init__(self) -> None:
        self._pid = next(_NUMBERS)
        self.alive = True
        self.ends = 0

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def lives(self) -> bool:
        return self.alive

    def kill(self) -> None:
        self.alive = False

    def end(self) -> None:
        self.alive = False
        self.ends += 1


class ScopeMaker:
    """Makes scopes below a directory. refusal: what it says instead; open: orders are answered while it is set."""

    def __init__(self, root: Path) -> None:
        self.bus = FakeBus(self.answer)
        self.scopes = Scopes(SystemBus(self.bus.opened))
        self.refusal = ""
        self.open = threading.Event()
        self.open.set()
        self.units: list[str] = []
        self._root = root
        self._places: dict[int, str] = {}

    def answer(self, message: Message) -> Message:
        if member(message) != "StartTransientUnit":
            return returned(message)
        self.open.wait(patience(30))
        if self.refusal:
            return refused(message, "org.freedesktop.systemd1.No", self.refusal)
        unit, _, properties, _ = message.body
        values = {key: value for key, (_, value) in properties}
        path = f"{values['Slice']}/{unit}"
        (self._root / path).mkdir(parents=True)
        self.units.append(unit)
        for pid in values["PIDs"]:
            self._places[pid] = path
        return returned(message, "o", "/org/freedesktop/systemd1/job/7")

    def groups_of(self, pid: int) -> dict[str, str]:
        """Where a process is, by hierarchy."""
        return {"": self._places.get(pid, "insulad.service")}

    def close(self) -> None:
        self.open.set()
        self.scopes.close()
        self.bus.close()
