"""The scope of systemd's that the keeper and its reaper are in.

Whatever a service is made of, systemd ends with it: by a restart of the daemon's unit guests would lose who holds their
consoles and learns how they end. In a scope of their own they end at the host's shutdown, after the daemon.

Sources: org.freedesktop.systemd1(5), systemd.scope(5), systemd.unit(5).
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
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
_DESCRIPTIONS = (("insula-view", "Machine view of Insula's guests"), ("", "Keeper of Insula's guests"))
"""By how the unit's name begins."""
_UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"


def keeper_unit(installation: str) -> str:
    """Return the name of the scope. installation: where it stands, `/` for the host's own."""
    place = installation.strip("/")
    return f"insula-keeper-{escape_unit(place)}.scope" if place else "insula-keeper.scope"


def place_of_keepers(manager: Manager, installation: str) -> Callable[[int], None]:
    """Return what puts a process where an installation's keepers are to be; where systemd is not, they are anywhere."""

    def place(pid: int) -> None:
        if manager is not Manager.NONE:
            with closing(SystemBus()) as bus:
                put_into_scope(pid, keeper_unit(installation), bus)

    return place


def put_into_scope(pid: int, unit: str, bus: SystemBus) -> None:
    """Have a process, and all that it starts from now on, in a scope; if that fails it stays, and the log says so."""
    if in_unit(pid, unit):
        return
    try:
        _put(bus, pid, unit)
    except BusError as error:
        logger.warning("process %d is not put into %s, and ends with the unit of the daemon: %s", pid, unit, error)


def _put(bus: SystemBus, pid: int, unit: str) -> None:
    """Raises: BusError."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        _ask(bus, pid, unit)
        look_until = time.monotonic() + _LOOK
        while time.monotonic() < look_until:
            if in_unit(pid, unit):
                return
            time.sleep(_PAUSE)
        if time.monotonic() > deadline:
            raise BusError(f"systemd has not done it within {_PATIENCE:g} s")


def _ask(bus: SystemBus, pid: int, unit: str) -> None:
    """Have the scope made, or the process taken into it where somebody of before is in it. Raises: BusError."""
    try:
        bus.call(start_keeper_unit(unit, pid))
        return
    except BusError as error:
        if error.name != _UNIT_EXISTS:
            raise
    try:
        bus.call(attach(unit, pid))
    except BusError as error:  # it is on its way out: then there will be none
        logger.debug("%s takes in nobody just now: %s", unit, error)


def start_keeper_unit(unit: str, pid: int) -> "Message":
    """Return the call that makes the scope around a process. It is delegated, else nobody could be attached to it."""
    properties = [
        ("Description", ("s", next(text for start, text in _DESCRIPTIONS if unit.startswith(start)))),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Before", ("as", ["insulad.service"])),
        ("TimeoutStopUSec", ("t", _TIME_TO_END * 1_000_000)),
        ("TasksMax", ("t", _NO_LIMIT)),
    ]
    return _call("StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", properties, []))


def attach(unit: str, pid: int) -> "Message":
    """Return the call that moves a process into a unit."""
    return _call("AttachProcessesToUnit", "ssau", (unit, "/", [pid]))


def _call(method: str, signature: str, arguments: tuple[Any, ...]) -> "Message":
    from jeepney import DBusAddress, new_method_call

    name = "org.freedesktop.systemd1"
    address = DBusAddress("/org/freedesktop/systemd1", bus_name=name, interface=f"{name}.Manager")
    return new_method_call(address, method, signature, arguments)
