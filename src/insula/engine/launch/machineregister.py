"""Whose scope is whose, for systemd and for the register that systemd-machined keeps: told one after the other.

systemctl describes a scope by it; machinectl, ps and journalctl know a container by it. No start waits for it or fails
with it, and what it costs comes after the starts that are under way rather than between them. What is lost with a bus
or a service that restarts is told again for a minute, after what is due meanwhile.

Sources: org.freedesktop.machine1(5), org.freedesktop.systemd1(5).
"""

import logging
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from insula.engine.launch.systembus import BusError, SystemBus
from insula.kernel.cgroups import groups_of

if TYPE_CHECKING:
    from jeepney import Message

logger = logging.getLogger(__name__)

SERVICE = "libvirt-lxc"
"""Who registers a machine: libvirt's name for its container driver, which tools look for."""
_DELAY = 0.05
"""Seconds from the exec of a guest's init until systemd-machined is told, in which the start is answered."""
_IDLE = 5.0
"""Seconds without anything to tell after which the thread ends."""
_LISTED = 10.0
"""Seconds for which a list of the containers that systemd-machined knows holds."""
_AGAIN = 0.25
_AGAIN_MOST = 4.0
"""Seconds until what was lost is told again, at first; twice as many each time up to the most."""
_AGAIN_FOR = 60.0
"""Seconds from when it was due for which it is told again: longer than a systemd takes to execute itself anew."""
_MACHINE_EXISTS = "org.freedesktop.machine1.MachineExists"
_LAST_PATIENCE = 5.0
"""Seconds that the end of this process waits for what is to be told still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One container. name: as machinectl shows it; leader: pid of its init; root: its directory as the host sees it,
    empty if it does not; interfaces: indices of the host's ends; unit: the scope it is in."""

    name: str
    uuid: str
    leader: int
    unit: str
    root: str = ""
    interfaces: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Telling:
    """What is to be told at some time. machined: whether systemd-machined runs; perhaps: both may know it already.

    until: when it is given up, if it is lost each time; pause: seconds until it is told again after the next loss.
    """

    due: float
    until: float
    machine: Machine
    machined: bool
    perhaps: bool
    pause: float

    def again(self, now: float) -> "_Telling | None":
        """Return it for later, None if it has been lost for long enough; whether it was heard is not known."""
        if now + self.pause > self.until:
            return None
        return replace(self, due=now + self.pause, pause=min(2 * self.pause, _AGAIN_MOST), perhaps=True)


class MachineRegister:
    """Tells over the bus, on a thread that is there while there is something to tell."""

    def __init__(self, bus: SystemBus) -> None:
        self._bus = bus
        self._change = threading.Condition()
        self._waiting: list[_Telling] = []
        self._thread: threading.Thread | None = None
        self._closing = False
        self._listed: tuple[float, frozenset[str]] | None = None
        """The names that systemd-machined knew, and when."""

    def add(self, machine: Machine, *, machined: bool, perhaps: bool = False) -> None:
        """Have it told soon; a refusal is only logged.

        machined: have systemd-machined register it too; perhaps: it may have, as it runs from before our time.
        """
        due = time.monotonic() + _DELAY
        telling = _Telling(
            due=due, until=due + _AGAIN_FOR, machine=machine, machined=machined, perhaps=perhaps, pause=_AGAIN
        )
        with self._change:
            self._waiting.append(telling)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="machine register", daemon=True)
                self._thread.start()
            self._change.notify()

    def close(self) -> None:
        """Tell the rest at once, as far as that does not take long."""
        with self._change:
            self._closing, thread = True, self._thread
            self._change.notify()
        if thread is not None:
            thread.join(_LAST_PATIENCE)
        with self._change:
            self._closing = False

    def _work(self) -> None:
        while (telling := self._next()) is not None:
            machine = telling.machine
            # Who has ended meanwhile is not told of, nor who got its pid.
            if not in_unit(machine.leader, machine.unit):
                continue
            try:
                self._tell(telling)
            except BusError as error:
                if not (error.lost and self._keep(telling)) and in_unit(machine.leader, machine.unit):
                    logger.warning("%s is not made known to systemd: %s", machine.name, error)

    def _tell(self, telling: _Telling) -> None:
        """Raises: BusError."""
        machine = telling.machine
        if telling.perhaps and telling.machined and machine.name in self._known():
            return
        self._bus.call(describe_unit(machine.unit, f"Container {machine.name}"))
        if telling.machined:
            try:
                self._bus.call(register_machine(machine))
            except BusError as error:
                if not telling.perhaps or error.name != _MACHINE_EXISTS:
                    raise

    def _keep(self, telling: _Telling) -> bool:
        """Keep what was lost, to tell it again; False for what is given up, as everything is at the end."""
        again = telling.again(time.monotonic())
        with self._change:
            if again is None or self._closing:
                return False
            self._waiting.append(again)
            return True

    def _known(self) -> frozenset[str]:
        """Return the names that systemd-machined knows, asked for once for many. Raises: BusError."""
        now = time.monotonic()
        if self._listed is None or now > self._listed[0] + _LISTED:
            self._listed = now, frozenset(each[0] for each in self._bus.call(list_machines())[0])
        return self._listed[1]

    def _next(self) -> _Telling | None:
        """Wait until one is due, and return it; None, and the thread is over, if there was none for some time."""
        with self._change:
            while True:
                now = time.monotonic()
                first = min(self._waiting, key=lambda each: each.due, default=None)
                due = first.due if first is not None else now + _IDLE
                if first is not None and (self._closing or due <= now):
                    self._waiting.remove(first)
                    return first
                if self._closing or (not self._change.wait(due - now) and not self._waiting):
                    self._thread = None
                    return None


def in_unit(pid: int, unit: str) -> bool:
    """Whether a process is in a unit's control group, or below it."""
    try:
        return any(unit in path.split("/") for path in groups_of(pid).values())
    except ProcessLookupError:
        return False


def register_machine(machine: Machine) -> "Message":
    """Return the call that registers a container whose scope is there: machined finds that by where the leader is."""
    from jeepney import new_method_call

    return new_method_call(
        _address(),
        "RegisterMachineWithNetwork",
        "sayssusai",
        (
            machine.name,
            uuid.UUID(machine.uuid).bytes,
            SERVICE,
            "container",
            machine.leader,
            machine.root,
            list(machine.interfaces),
        ),
    )


def describe_unit(unit: str, text: str) -> "Message":
    """Return the call that has systemd describe a unit by this text, until it is gone."""
    from jeepney import DBusAddress, new_method_call

    name = "org.freedesktop.systemd1"
    address = DBusAddress("/org/freedesktop/systemd1", bus_name=name, interface=f"{name}.Manager")
    return new_method_call(address, "SetUnitProperties", "sba(sv)", (unit, True, [("Description", ("s", text))]))


def list_machines() -> "Message":
    """Return the call that lists what is registered; each begins with its name."""
    from jeepney import new_method_call

    return new_method_call(_address(), "ListMachines")


def _address() -> Any:
    from jeepney import DBusAddress

    name = "org.freedesktop.machine1"
    return DBusAddress("/org/freedesktop/machine1", bus_name=name, interface=f"{name}.Manager")
