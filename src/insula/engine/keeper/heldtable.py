"""All processes that a keeper holds, by their names and by their pids."""

from typing import Any

from insula.engine.keeper.held import HeldProcess


class HeldTable:
    """Guests' inits by the UUID of the guest, and entered processes by their id."""

    def __init__(self) -> None:
        self.guests: dict[str, HeldProcess] = {}
        self.executions: dict[str, HeldProcess] = {}
        self._children: dict[int, HeldProcess] = {}

    def __len__(self) -> int:
        return len(self.guests) + len(self.executions)

    def all(self) -> tuple[HeldProcess, ...]:
        """Return those that are held now; more may come and go while they are looked at."""
        return (*self.guests.values(), *self.executions.values())

    def add(self, process: HeldProcess) -> None:
        if process.execution is None:
            self.guests[process.guest] = process
        else:
            self.executions[process.execution] = process

    def know(self, process: HeldProcess) -> None:
        """Find it by its pid too, now that it has one and is our child."""
        self._children[process.pid] = process

    def remove(self, process: HeldProcess) -> None:
        if process.execution is None:
            self.guests.pop(process.guest, None)
        else:
            self.executions.pop(process.execution, None)
        if self._children.get(process.pid) is process:
            del self._children[process.pid]

    def child(self, pid: int) -> HeldProcess | None:
        """Return our child of that pid, if it is held and not reaped yet."""
        process = self._children.get(pid)
        return None if process is None or process.status is not None else process

    def inside(self, uuid: str) -> list[HeldProcess]:
        """Return what entered a guest."""
        return [each for each in self.executions.values() if each.guest == uuid]

    def described(self) -> dict[str, list[dict[str, Any]]]:
        """Return what a client is told of each that is known; what is ordered only, nobody asks for yet."""
        return {
            kind: [_described(process) for process in processes if process.is_known]
            for kind, processes in (("guests", self.guests.values()), ("executions", self.executions.values()))
        }


def _described(process: HeldProcess) -> dict[str, Any]:
    return {
        "uuid": process.guest,
        "id": process.execution,
        "pid": process.pid,
        "state": process.phase.name,
        "status": process.status,
        "consoles": len(process.consoles),
    }
