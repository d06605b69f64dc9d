"""The scopes of systemd's that processes of ours are in: the keeper with its reaper, and the machine view.

Whatever a service is made of, systemd ends with it: by a restart of the daemon's unit guests would lose who holds their
consoles and learns how they end. In scopes of their own they end at the host's shutdown, after the daemon.

Sources: org.freedesktop.systemd1(5), systemd.scope(5), systemd.unit(5).
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from insula.engine.launch.machineregister import in_unit
from insula.engine.launch.systembus import BusError, SystemBus
from insula.engine.launch.systemdscope import Manager
from insula.kernel.cgroups.names import escape_unit

if TYPE_CHECKING:
    from jeepney import Message

logger = logging.getLogger(__name__)

_PATIENCE = 15.0
"""Seconds until a process must be where it is to be; who asks for a keeper waits meanwhile."""
_LOOK = 1.0
"""Seconds until systemd is asked again, as the scope of before may just have been removed."""
_PAUSE = 0.02
_TIME_TO_END = 30
"""Seconds that who is told to end gets: as long as a guest lives, the keeper does not."""
_NO_LIMIT = (1 << 64) - 1
_UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"


class OwnProcess(Enum):
    """What has a scope of its own: how the unit's name begins, and what systemctl says of it."""

    KEEPER = ("insula-keeper", "Keeper of Insula's guests")
    VIEW = ("insula-view", "Machine view of Insula's guests")

    def __init__(self, prefix: str, description: str) -> None:
        self.prefix = prefix
        self.description = description


@dataclass(frozen=True, slots=True)
class OwnScope:
    """The scope of a process of an installation's. installation: where it stands, `/` for the host's own."""

    process: OwnProcess
    installation: str

    @property
    def unit(self) -> str:
        place = self.installation.strip("/")
        prefix = self.process.prefix
        return f"{prefix}-{escape_unit(place)}.scope" if place else f"{prefix}.scope"


def placing(manager: Manager, scope: OwnScope) -> Callable[[int], None]:
    """Return what puts a process into its scope; where systemd is not, it is anywhere."""

    def place(pid: int) -> None:
        if manager is not Manager.NONE:
            with closing(SystemBus()) as bus:
                put_into_scope(pid, scope, bus)

    return place


def put_into_scope(pid: int, scope: OwnScope, bus: SystemBus) -> None:
    """Have a process, and all that it starts from now on, in a scope; if that fails it stays, and the log says so."""
    if in_unit(pid, scope.unit):
        return
    try:
        _put(bus, pid, scope)
    except BusError as error:
        logger.warning(
            "process %d is not put into %s, and ends with the unit of the daemon: %s", pid, scope.unit, error
        )


def _put(bus: SystemBus, pid: int, scope: OwnScope) -> None:
    """Raises: BusError."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        _ask(bus, pid, scope)
        look_until = time.monotonic() + _LOOK
        while time.monotonic() < look_until:
            if in_unit(pid, scope.unit):
                return
            time.sleep(_PAUSE)
        if time.monotonic() > deadline:
            raise BusError(f"systemd has not done it within {_PATIENCE:g} s")


def _ask(bus: SystemBus, pid: int, scope: OwnScope) -> None:
    """Have the scope made, or the process taken into it where somebody of before is in it. Raises: BusError."""
    try:
        bus.call(start_scope(scope, pid))
        return
    except BusError as error:
        if error.name != _UNIT_EXISTS:
            raise
    try:
        bus.call(attach(scope.unit, pid))
    except BusError as error:  # it is on its way out: then there will be none
        logger.debug("%s takes in nobody just now: %s", scope.unit, error)


def start_scope(scope: OwnScope, pid: int) -> "Message":
    """Return the call that makes the scope around a process. It is delegated, else nobody could be attached to it."""
    properties = [
        ("Description", ("s", scope.process.description)),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Before", ("as", ["insulad.service"])),
        ("TimeoutStopUSec", ("t", _TIME_TO_END * 1_000_000)),
        ("TasksMax", ("t", _NO_LIMIT)),
    ]
    return _call("StartTransientUnit", "ssa(sv)a(sa(sv))", (scope.unit, "fail", properties, []))


def attach(unit: str, pid: int) -> "Message":
    """Return the call that moves a process into a unit."""
    return _call("AttachProcessesToUnit", "ssau", (unit, "/", [pid]))


def _call(method: str, signature: str, arguments: tuple[Any, ...]) -> "Message":
    from jeepney import DBusAddress, new_method_call

    name = "org.freedesktop.systemd1"
    address = DBusAddress("/org/freedesktop/systemd1", bus_name=name, interface=f"{name}.Manager")
    return new_method_call(address, method, signature, arguments)
