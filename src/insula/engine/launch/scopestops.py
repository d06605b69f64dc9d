"""Scopes of ours that somebody has systemd stop: `systemctl stop`, `machinectl terminate`, or the host's shutdown.

systemd begins a stop with a signal to every process of the scope, which ends a guest's services under its init, and
that itself hardly ever. So scopes are made with a signal that changes nothing (`systemdscope.start_unit`), and who can
shut the guest down learns of the stop here. systemd waits for the scope to become empty as long as for any unit, and
kills then.
A controller of the scope would be told by systemd itself; but only a connection that was there when the scope was made
can be one, and no later daemon's.

Sources: org.freedesktop.systemd1(5), systemd.kill(5), the D-Bus specification (match rules).
"""

import contextlib
import logging
import queue
import re
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
_RULES = (
    f"type='signal',sender='{_SYSTEMD}',interface='{_MANAGER}',member='JobNew'",
    f"type='signal',sender='{_SYSTEMD}',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'"
    f",arg0='{_SYSTEMD}.Job'",
)
"""That jobs are queued, and that their state changes."""
_OBJECT = re.compile(r"(/[A-Za-z0-9_]{1,64}){1,8}")
"""A path of a job. Anybody may send us a signal, with any text for one; the bus hangs up on who asks for such."""
_PAUSE = 1.0
"""Seconds until a bus that has gone is asked for again."""
_LAST_PATIENCE = 5.0


class ScopeStops:
    """Tells the name of each scope whose stop begins, on a thread of its own; first those whose stop has begun."""

    def __init__(self, told: Callable[[str], None], opened: Opened | None = None, pause: float = _PAUSE) -> None:
        self._told = told
        self._pause = pause
        self._waiting: set[str] = set()
        """Jobs that are queued and have not begun: at the host's shutdown guests' scopes have their turn later."""
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
            except Exception:  # whatever it is: the next connection may do better, and nobody else would listen
                logger.exception("nobody tells of scopes that are stopped")
            self._bus.close()
            self._forget_heard()
            self._closing.wait(self._pause)

    def _forget_heard(self) -> None:
        """What was heard on a connection that has ended, its end included, says nothing of the next one."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._heard.get_nowait()

    def _attend(self) -> None:
        """Tell of stops until the connection ends. Raises: BusError."""
        self._waiting.clear()
        for rule in _RULES:
            self._bus.call(add_match(rule))
        self._bus.call(subscribe())
        for _, unit, kind, state, job, _ in self._bus.call(list_jobs())[0]:
            self._judge(job, unit, kind, state)
        while (message := self._heard.get()) is not None and not self._closing.is_set():
            if (job := queued_job(message)) or (job := changed_job(message)) in self._waiting:
                self._look(job)

    def _look(self, job: str) -> None:
        """Ask systemd what the job is: a signal may be anybody's."""
        self._waiting.discard(job)
        try:
            (properties,) = self._bus.call(job_properties(job))
        except BusError as error:
            logger.debug("what %s is cannot be told: %s", job, error)
            return
        unit, kind, state = (properties[name][1] for name in ("Unit", "JobType", "State"))
        self._judge(job, unit[0], kind, state)

    def _judge(self, job: str, unit: str, kind: str, state: str) -> None:
        """Tell of a job that stops a scope of ours if it has begun; else look again when it changes."""
        if kind not in _STOPS or not unit.startswith(OURS):
            return
        if state == "running":
            self._told(unit)
        else:
            self._waiting.add(job)


def queued_job(message: "Message") -> str:
    """Return the job of a scope of ours that a signal says has been queued, empty if it says anything else."""
    from jeepney import HeaderFields

    if message.header.fields.get(HeaderFields.member) != "JobNew" or len(message.body) != 3:
        return ""
    _, job, unit = message.body
    return str(job) if str(unit).startswith(OURS) and _OBJECT.fullmatch(str(job)) else ""


def changed_job(message: "Message") -> str:
    """Return the path of what a signal says has changed, empty if it says anything else."""
    from jeepney import HeaderFields

    fields = message.header.fields
    return str(fields.get(HeaderFields.path, "")) if fields.get(HeaderFields.member) == "PropertiesChanged" else ""


def add_match(rule: str) -> "Message":
    """Return the call that has the bus hand on what systemd says of jobs."""
    from jeepney import DBus

    return DBus().AddMatch(rule)


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
