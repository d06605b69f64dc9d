"""Scopes of systemd, made and ended over the system bus.

Sources: org.freedesktop.machine1(5), org.freedesktop.systemd1(5), sd_booted(3), systemd.scope(5).
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from insula.kernel.cgroups.names import escape_unit

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

SERVICE = "libvirt-lxc"
"""Who registers a machine: libvirt's name for its container driver, which tools look for."""

_BOOTED = "/run/systemd/system"
_BUS = "/run/dbus/system_bus_socket"
_PATIENCE = 30.0
"""Seconds a call over the bus may take."""


class Manager(StrEnum):
    """Who has the control group tree of this host."""

    NONE = "none"
    SYSTEMD = "systemd"
    MACHINED = "systemd-machined"
    """systemd, with systemd-machined to keep a register of containers."""


class ScopeError(Exception):
    """The bus, systemd or systemd-machined said no; the text is theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The scope of one container. machine: its name for systemd-machined; leader: pid of its init."""

    machine: str
    uuid: str
    slice: str
    leader: int
    root: str = ""
    interfaces: tuple[int, ...] = ()

    @property
    def unit(self) -> str:
        """The name systemd-machined gives the unit, and we if it is not there."""
        return f"machine-{escape_unit(self.machine)}.scope"

    @property
    def properties(self) -> list[tuple[str, tuple[str, Any]]]:
        """What the unit shall be like: in its slice, its groups ours to divide, gone once it is empty."""
        return [
            ("Slice", ("s", self.slice)),
            ("Delegate", ("b", True)),
            ("CollectMode", ("s", "inactive-or-failed")),
        ]


def detect_manager() -> Manager:
    """Return what this host's process 1 is, as far as control groups go."""
    if not os.path.isdir(_BOOTED) or not os.path.exists(_BUS):
        return Manager.NONE
    try:
        with _bus() as bus:
            names = _called(bus, _bus_names())[0]
    except ScopeError:
        return Manager.SYSTEMD
    return Manager.MACHINED if "org.freedesktop.machine1" in names else Manager.SYSTEMD


def make_scope(scope: Scope, manager: Manager) -> str:
    """Make the scope around its leader; return its group's path below a hierarchy's root. Raises: ScopeError."""
    with _bus() as bus:
        if manager is Manager.MACHINED:
            _called(bus, create_machine(scope))
        else:
            _start_unit(bus, scope)
        unit_path = _called(bus, get_unit(scope.unit))[0]
        return str(_called(bus, control_group_of(unit_path))[0][1]).strip("/")


def stop_scope(unit: str) -> None:
    """End a scope, killing what is left in it; one that is gone already is fine. Raises: ScopeError."""
    with _bus() as bus:
        try:
            _called(bus, stop_unit(unit))
        except _NoSuchUnitError:
            return


def create_machine(scope: Scope) -> "Message":
    """Return the call that registers a container and makes its scope; the answer comes when the scope is there."""
    from jeepney import new_method_call

    return new_method_call(
        _address("machine1", "Manager"),
        "CreateMachineWithNetwork",
        "sayssusaia(sv)",
        (
            scope.machine,
            uuid.UUID(scope.uuid).bytes,
            SERVICE,
            "container",
            scope.leader,
            scope.root,
            list(scope.interfaces),
            scope.properties,
        ),
    )


def start_unit(scope: Scope) -> "Message":
    """Return the call that makes the scope without a register; its answer is a job's path."""
    from jeepney import new_method_call

    properties = [
        *scope.properties,
        ("Description", ("s", f"Container {scope.machine}")),
        ("PIDs", ("au", [scope.leader])),
    ]
    return new_method_call(
        _address("systemd1", "Manager"), "StartTransientUnit", "ssa(sv)a(sa(sv))", (scope.unit, "fail", properties, [])
    )


def stop_unit(unit: str) -> "Message":
    from jeepney import new_method_call

    return new_method_call(_address("systemd1", "Manager"), "StopUnit", "ss", (unit, "replace"))


def get_unit(unit: str) -> "Message":
    """Return the call that tells a unit's object path."""
    from jeepney import new_method_call

    return new_method_call(_address("systemd1", "Manager"), "GetUnit", "s", (unit,))


def control_group_of(unit_path: str) -> "Message":
    """Return the call that tells where a scope's group is."""
    from jeepney import DBusAddress, Properties

    address = DBusAddress(unit_path, bus_name="org.freedesktop.systemd1", interface="org.freedesktop.systemd1.Scope")
    return Properties(address).get("ControlGroup")


def _bus_names() -> "Message":
    from jeepney import DBus

    return DBus().ListActivatableNames()


def _address(service: str, interface: str) -> Any:
    from jeepney import DBusAddress

    name = f"org.freedesktop.{service}"
    return DBusAddress(f"/org/freedesktop/{service}", bus_name=name, interface=f"{name}.{interface}")


@contextmanager
def _bus() -> "Iterator[DBusConnection]":
    from jeepney.auth import AuthenticationError
    from jeepney.io.blocking import open_dbus_connection

    try:
        connection = open_dbus_connection(bus="SYSTEM")
    except (OSError, AuthenticationError) as error:
        raise ScopeError(f"no system bus: {error}") from error
    with connection:
        yield connection


class _NoSuchUnitError(ScopeError):
    """There is no such unit, or no such machine, any more."""


_GONE = frozenset({"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.machine1.NoSuchMachine"})


def _called(bus: "DBusConnection", message: "Message") -> Any:
    """Return the body of a call's answer. Raises: ScopeError with the error's own text."""
    from jeepney.wrappers import DBusErrorResponse, unwrap_msg

    try:
        return unwrap_msg(bus.send_and_get_reply(message, timeout=_PATIENCE))
    except DBusErrorResponse as error:
        kind = _NoSuchUnitError if error.name in _GONE else ScopeError
        raise kind(f"{error.data[0] if error.data else error.name}") from error
    except (OSError, TimeoutError) as error:
        raise ScopeError(f"the system bus does not answer: {error}") from error


def _start_unit(bus: "DBusConnection", scope: Scope) -> None:
    """Make the scope and wait until its job is done, which systemd tells to subscribers only."""
    from jeepney import DBus, MatchRule, new_method_call

    _called(bus, new_method_call(_address("systemd1", "Manager"), "Subscribe"))
    rule = MatchRule(
        type="signal",
        interface="org.freedesktop.systemd1.Manager",
        member="JobRemoved",
        sender="org.freedesktop.systemd1",
    )
    _called(bus, DBus().AddMatch(rule))
    removed = MatchRule(type="signal", interface="org.freedesktop.systemd1.Manager", member="JobRemoved")
    with bus.filter(removed) as signals:
        job = _called(bus, start_unit(scope))[0]
        while True:
            try:
                _, path, _, result = bus.recv_until_filtered(signals, timeout=_PATIENCE).body
            except (OSError, TimeoutError) as error:
                raise ScopeError(f"systemd does not finish the scope's start: {error}") from error
            if path == job:
                break
    if result != "done":
        raise ScopeError(f"the start of {scope.unit} ended as '{result}'")
