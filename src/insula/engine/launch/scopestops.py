"""Scopes of ours that somebody has systemd stop: `systemctl stop`, `machinectl terminate`, or the host's shutdown.

systemd begins a stop with a signal to every process of the scope, which ends a guest's services under its init, and
that itself hardly ever. So scopes are made with a signal that changes nothing (`systemdscope.start_unit`), and who can
shut the guest down learns of the stop here. systemd waits for the scope to become empty as long as for any unit, and
kills then.
A controller of the scope would be told by systemd itself; but only a connection that was there when the scope was made
can be one, and no later daemon's.

Sources: org.freedesktop.systemd1(5), systemd.kill(5), the D-Bus specification (match rules).
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from insula.engine.launch.systembus import BusError, Opened, SystemBus

if TYPE_CHECKING:
    from jeepney import Message

logger = logging.getLogger(__name__)

OURS = "machine-insula\\x2d"
"""What the names of guests' scopes begin with."""
_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = f"{_SYSTEMD}.Manager"
_STOPS = ("stop", "restart")
"""Types of jobs that end a unit."""
_PAUSE = 1.0
"""Seconds until a bus that has gone is asked for again."""
_LAST_PATIENCE = 5.0


class ScopeStops:
    """Tells the name of each scope that is to be stopped, on a thread of its own; first of those that are already."""

    def __init__(self, told: Callable[[str], None], opened: Opened | None = None, pause: float = _PAUSE) -> None:
        self._told = told
        self._pause = pause
        self._heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._bus = SystemBus(opened, heard=self._heard.put)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="scope stops", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell of nothing any more."""
        self._closing.set()
        self._bus.close()
        self._heard.put(None)
        self._thread.join(_LAST_PATIENCE)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._attend()
            except BusError as error:
                logger.debug("nobody tells of scopes that are stopped: %s", error)
            self._bus.close()
            self._closing.wait(self._pause)

    def _attend(self) -> None:
        """Tell of stops until the connection ends. Raises: BusError."""
        self._bus.call(add_match())
        self._bus.call(subscribe())
        for _, unit, kind, *_ in self._bus.call(list_jobs())[0]:
            self._tell(unit, kind)
        while (message := self._heard.get()) is not None and not self._closing.is_set():
            if (job := begun_job(message)) is not None:
                self._look(job)

    def _look(self, job: str) -> None:
        """Ask systemd what the job is: a signal may be anybody's."""
        try:
            (properties,) = self._bus.call(job_properties(job))
        except BusError as error:
            logger.debug("what %s is cannot be told: %s", job, error)
            return
        self._tell(properties["Unit"][1][0], properties["JobType"][1])

    def _tell(self, unit: str, kind: str) -> None:
        if kind in _STOPS and unit.startswith(OURS):
            self._told(unit)


def begun_job(message: "Message") -> str | None:
    """Return the job of a scope of ours that a signal says has been queued, None if it says anything else."""
    from jeepney import HeaderFields

    if message.header.fields.get(HeaderFields.member) != "JobNew" or len(message.body) != 3:
        return None
    _, job, unit = message.body
    return str(job) if str(unit).startswith(OURS) else None


def add_match() -> "Message":
    """Return the call that has the bus hand on what systemd says of jobs that are queued."""
    from jeepney import DBus

    return DBus().AddMatch(f"type='signal',sender='{_SYSTEMD}',interface='{_MANAGER}',member='JobNew'")


def subscribe() -> "Message":
    """Return the call without which systemd says nothing of jobs, unless it does for others."""
    return _manager_call("Subscribe")


def list_jobs() -> "Message":
    """Return the call for what is queued: rows of number, unit, type and more."""
    return _manager_call("ListJobs")


def job_properties(job: str) -> "Message":
    """Return the call for what a job is."""
    from jeepney import DBusAddress, Properties

    return Properties(DBusAddress(job, bus_name=_SYSTEMD, interface=f"{_SYSTEMD}.Job")).get_all()


def _manager_call(method: str) -> "Message":
    from jeepney import DBusAddress, new_method_call

    address = DBusAddress("/org/freedesktop/systemd1", bus_name=_SYSTEMD, interface=_MANAGER)
    return new_method_call(address, method)
