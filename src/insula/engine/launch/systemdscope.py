"""Scopes of systemd, made and ended over the system bus.

A scope is made around a process, and awaited only until that has been moved, which its own /proc file tells. systemd
removes a scope that has become empty.

Sources: org.freedesktop.machine1(5), org.freedesktop.systemd1(5), sd_booted(3), systemd.scope(5).
"""

import logging
import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from insula.engine.launch.emptiedscopes import EmptiedScopes
from insula.engine.launch.machineregister import Machine, MachineRegister
from insula.engine.launch.systembus import BusCall, BusError, SystemBus
from insula.kernel.cgroups import Cgroup, groups_of

if TYPE_CHECKING:
    from jeepney import Message

logger = logging.getLogger(__name__)

_BOOTED = "/run/systemd/system"
_BUS = "/run/dbus/system_bus_socket"
_PATIENCE = 25.0
"""Seconds until a scope must have been made."""
_PAUSE = 0.0003
_LONGEST_PAUSE = 0.02
"""Seconds between two looks at where the process is, once systemd has answered: it moves it right afterwards."""
_LOOK = 0.1
"""Seconds between two such looks before that: the answer may have been lost."""
_DOUBT = 0.5
"""Seconds until systemd is asked what has become of an order that it has taken, and again after each as many."""
_RESTART_PAUSE = 0.1
"""Seconds until systemd is asked again that was not there."""
_NO_LIMIT = (1 << 64) - 1
"""How many processes and threads a scope may have: each guest's group below it has its own limit, which shall hold."""
_ENDED_BEFORE = ("insula-guests.service", "virt-guest-shutdown.target")
"""What ends guests in their own way when the host shuts down, of ours and of libvirt's: before systemd ends scopes."""
_NEEDED_MEANWHILE = ("insulad.service", "insula-keeper.scope", "dbus.service")
"""Who is there until the last scope has ended, learns that it is to end, and how its guest did."""


class Manager(StrEnum):
    """Who has the control group tree of this host."""

    NONE = "none"
    SYSTEMD = "systemd"
    MACHINED = "systemd-machined"
    """systemd, with systemd-machined to keep a register of containers."""


class ScopeError(Exception):
    """The bus or systemd said no; the text is theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """A scope to be made. unit: its name; slice: what it is to be in; leader: pid of the process it is made around."""

    unit: str
    slice: str
    leader: int


@dataclass(kw_only=True, slots=True)
class AwaitedScope:
    """A scope that was asked for. call: the order; repeated: it was given more than once."""

    scope: Scope
    call: BusCall
    repeated: bool = False


def detect_manager() -> Manager:
    """Return what this host's process 1 is, as far as control groups go."""
    if not os.path.isdir(_BOOTED) or not os.path.exists(_BUS):
        return Manager.NONE
    bus = SystemBus()
    try:
        names = bus.call(_bus_names())[0]
    except BusError:
        return Manager.SYSTEMD
    finally:
        bus.close()
    return Manager.MACHINED if "org.freedesktop.machine1" in names else Manager.SYSTEMD


class Scopes:
    """Makes and ends scopes, over one kept connection that is made with the first.

    stops_told: whether somebody shuts guests down whose scopes are stopped (`scopestops`), so that systemd need not.
    """

    def __init__(self, bus: SystemBus | None = None, *, stops_told: bool = False) -> None:
        self._bus = bus or SystemBus()
        self._stops_told = stops_told
        self._register = MachineRegister(self._bus)
        self._emptied = EmptiedScopes(self._stopped)

    def close(self) -> None:
        """End the connection, after what systemd-machined is to be told still and what is left of scopes."""
        self._register.close()
        self._emptied.close()
        self._bus.close()

    def ask(self, scope: Scope) -> AwaitedScope:
        """Have systemd begin to make a scope around its leader. Raises: ScopeError if it cannot be asked."""
        try:
            return AwaitedScope(scope=scope, call=self._bus.send(self._order(scope)))
        except BusError as error:
            raise ScopeError(str(error)) from error

    def await_leader(self, awaited: AwaitedScope) -> str:
        """Return where the scope's group is, below a hierarchy's root, once its leader has been moved into it.

        Raises: ScopeError; after half a minute too.
        """
        deadline = time.monotonic() + _PATIENCE
        doubt, pause, job = deadline, _PAUSE, ""
        if awaited.call.answered(_LOOK):
            job, doubt = self._job(awaited), time.monotonic() + _DOUBT
        while (found := _place_of(awaited.scope)) is None or (found.of_many and not self._finished(awaited, job)):
            if job:
                time.sleep(pause)
            elif awaited.call.answered(_LOOK):
                job, doubt = self._job(awaited), time.monotonic() + _DOUBT
            now = time.monotonic()
            if now > deadline:
                raise ScopeError(f"{awaited.scope.unit} was not made within {_PATIENCE:g} s: is systemd overloaded?")
            if job and now > doubt and found is None:
                if self._finished(awaited, job) and _place_of(awaited.scope) is None:
                    raise ScopeError(f"{awaited.scope.unit} was not started: `journalctl -b _PID=1` tells why")
                doubt = now + _DOUBT
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return found.path

    def register(self, machine: Machine, manager: Manager, *, perhaps: bool = False) -> None:
        """Have systemd, and systemd-machined where that runs, know soon whose scope it is; a refusal is only logged.

        perhaps: they may know it already. Nobody waits for anything.
        """
        self._register.add(machine, machined=manager is Manager.MACHINED, perhaps=perhaps)

    def stop(self, unit: str) -> None:
        """End a scope, killing what is left in it; one that is gone already is fine. Raises: ScopeError."""
        try:
            self._bus.call(stop_unit(unit))
        except BusError as error:
            if error.name != _NO_SUCH_UNIT:
                raise ScopeError(str(error)) from error

    def look_after(self, scope: Cgroup) -> None:
        """Have an empty scope's group removed soon, should systemd not; nobody waits for anything."""
        self._emptied.add(scope)

    def _stopped(self, unit: str) -> bool:
        try:
            self.stop(unit)
        except ScopeError as error:
            logger.debug("what is left of %s stays: %s", unit, error)
            return False
        return True

    def _order(self, scope: Scope) -> "Message":
        return start_unit(scope, stops_told=self._stops_told)

    def _job(self, awaited: AwaitedScope) -> str:
        """Return the job of an order that was answered, `_UNKNOWN_JOB` if another one has it; none: not answered yet.

        An order that was lost with a systemd or a bus that restarts is given again.
        """
        try:
            return str(awaited.call.body()[0])
        except BusError as error:
            if awaited.repeated and error.name == _UNIT_EXISTS:
                return _UNKNOWN_JOB
            if not error.lost:
                raise ScopeError(str(error)) from error
        time.sleep(_RESTART_PAUSE)
        awaited.repeated = True
        try:
            awaited.call = self._bus.send(self._order(awaited.scope))
        except BusError as error:
            logger.debug("asking again for %s: %s", awaited.scope.unit, error)
        return ""

    def _finished(self, awaited: AwaitedScope, job: str) -> bool:
        """Whether systemd is done with the order; False if it cannot tell right now."""
        if not job:
            return False
        try:
            if job == _UNKNOWN_JOB:
                return self._bus.call(state_of(awaited.scope.unit))[0][1] in ("active", "failed")
            self._bus.call(job_state(job))
        except BusError as error:
            return error.name == _NO_SUCH_OBJECT
        return False


_NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
_UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
_NO_SUCH_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
_UNKNOWN_JOB = "?"
_SYSTEMDS = ("name=systemd", "")
"""Hierarchies that systemd may have its units in: on hosts of v1 and on others; it has both on some hybrid ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _GroupPath:
    """Where a process is. of_many: there are other hierarchies, which systemd moves it in after this one."""

    path: str
    of_many: bool


def _place_of(scope: Scope) -> _GroupPath | None:
    """Return where the leader is in systemd's hierarchy, None while that is not the scope. Raises: ScopeError."""
    try:
        groups = groups_of(scope.leader)
    except ProcessLookupError as error:
        raise ScopeError(f"process {scope.leader}, which it is made around, has ended") from error
    for hierarchy in _SYSTEMDS:
        path = groups.get(hierarchy, "")
        if path.rpartition("/")[2] == scope.unit:
            return _GroupPath(path=path, of_many=len(groups) > 1)
    return None


def start_unit(scope: Scope, *, stops_told: bool = False) -> "Message":
    """Return the call that makes a scope around its leader; its answer is a job's path.

    stops_told: a stop begins with a signal that changes nothing for those who are in it.
    In its slice, its groups ours to divide, gone once it is empty. By default it would be ended before the host shuts
    down, by a conflict that makes each start look at the host's shutdown too. Its slice has that conflict already, and
    is not stopped without it; in the reverse of the order said here. Sources: systemd.scope(5), systemd.slice(5),
    systemd.special(7), systemd.kill(5).
    """
    from jeepney import new_method_call

    properties = [
        ("Description", ("s", "Ready for a container of Insula's")),
        ("Slice", ("s", scope.slice)),
        ("PIDs", ("au", [scope.leader])),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("TasksMax", ("t", _NO_LIMIT)),
        ("Before", ("as", list(_ENDED_BEFORE))),
        ("After", ("as", list(_NEEDED_MEANWHILE))),
        *([("KillSignal", ("i", int(signal.SIGCONT)))] if stops_told else []),
    ]
    return new_method_call(
        _address("systemd1", "Manager"), "StartTransientUnit", "ssa(sv)a(sa(sv))", (scope.unit, "fail", properties, [])
    )


def stop_unit(unit: str) -> "Message":
    from jeepney import new_method_call

    return new_method_call(_address("systemd1", "Manager"), "StopUnit", "ss", (unit, "replace"))


def state_of(unit: str) -> "Message":
    """Return the call that tells whether a unit is active."""
    letters = (each if each.isascii() and each.isalnum() else f"_{ord(each):02x}" for each in unit)
    return _property(f"/org/freedesktop/systemd1/unit/{''.join(letters)}", "Unit", "ActiveState")


def job_state(job: str) -> "Message":
    """Return the call that tells a job's state; no such object: it is done."""
    return _property(job, "Job", "State")


def _property(path: str, interface: str, name: str) -> "Message":
    from jeepney import DBusAddress, Properties

    service = "org.freedesktop.systemd1"
    return Properties(DBusAddress(path, bus_name=service, interface=f"{service}.{interface}")).get(name)


def _bus_names() -> "Message":
    from jeepney import DBus

    return DBus().ListActivatableNames()


def _address(service: str, interface: str) -> Any:
    from jeepney import DBusAddress

    name = f"org.freedesktop.{service}"
    return DBusAddress(f"/org/freedesktop/{service}", bus_name=name, interface=f"{name}.{interface}")
