"""A look at what a running guest's systemd says of itself, over the guest's own bus.

    ask-systemd   what `visit` takes, seconds ; the same → state: of the system; failed: how many units have; units: the
                  names of some of those; users: by name the seconds since 1970 when they logged in first; static and
                  pretty: names of the host. What is not told is left out

Nothing is started to be asked: systemd-hostnamed is there only while somebody uses it. Sources:
org.freedesktop.systemd1(5), org.freedesktop.login1(5), org.freedesktop.hostname1(5).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from insula.engine.look.busmessages import BusFormatError
from insula.engine.look.guestbus import BusRefusalError, GuestBus
from insula.engine.look.systemlook import TEXT_MAX, is_user_class
from insula.engine.look.visit import visit
from insula.kernel.fds import Fd

UNITS_MAX = 16
"""Names that are told; how many there are is told in any case."""
SESSIONS_MAX = 64
STATES = frozenset({"initializing", "starting", "running", "degraded", "maintenance", "stopping"})
"""What `systemctl is-system-running` says of a system with a manager."""
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
_MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager"
_LOGIN = ("org.freedesktop.login1", "/org/freedesktop/login1")
_LOGIN_INTERFACE = "org.freedesktop.login1.Manager"
_SESSION_INTERFACE = "org.freedesktop.login1.Session"
_HOSTNAME = ("org.freedesktop.hostname1", "/org/freedesktop/hostname1", "org.freedesktop.hostname1")
_SESSION_PATH = re.compile(r"/org/freedesktop/login1/session/[A-Za-z0-9_]{1,64}")
_UNIT = "ssssssouso"
_SESSION = "susso"
_USER, _PATH = 2, 4


def ask_systemd(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """Return what the guest's bus says. Raises: OSError if it has none, or that does not answer."""
    root = visit(arguments, fds)
    told: dict[str, Any] = {}
    try:
        bus = GuestBus(root, init=arguments["pid"], seconds=arguments["seconds"])
    except (BusFormatError, BusRefusalError):
        return told
    try:
        _tell(bus, told)
    except (OSError, BusFormatError):
        pass  # what it told before counts
    finally:
        bus.close()
    return told


def _tell(bus: GuestBus, told: dict[str, Any]) -> None:
    with suppress(BusRefusalError):
        state = bus.text(*_MANAGER, _MANAGER_INTERFACE, "SystemState")
        if state in STATES:
            told["state"] = state
            told["failed"] = bus.number(*_MANAGER, _MANAGER_INTERFACE, "NFailedUnits")
    with suppress(BusRefusalError):
        users = _users(bus)
        told["users"] = users
    for key, name in (("static", "StaticHostname"), ("pretty", "PrettyHostname")):
        with suppress(BusRefusalError):
            told[key] = bus.text(*_HOSTNAME, name)[:TEXT_MAX]
    if told.get("failed"):
        # Last, as nothing else is as long.
        with suppress(BusRefusalError):
            [units] = bus.ask(*_MANAGER, (_MANAGER_INTERFACE, "ListUnitsFiltered"), f"a({_UNIT})", ("failed",))
            told["units"] = sorted(each[0][:TEXT_MAX] for each in units)[:UNITS_MAX]


def _users(bus: GuestBus) -> dict[str, int]:
    [sessions] = bus.ask(*_LOGIN, (_LOGIN_INTERFACE, "ListSessions"), f"a({_SESSION})")
    found: dict[str, int] = {}
    for each in sessions[:SESSIONS_MAX]:
        name, where = each[_USER][:TEXT_MAX], (_LOGIN[0], each[_PATH], _SESSION_INTERFACE)
        if name and _SESSION_PATH.fullmatch(each[_PATH]):
            with suppress(BusRefusalError):  # it has ended meanwhile
                if is_user_class(bus.text(*where, "Class")):
                    since = bus.number(*where, "Timestamp") // 1_000_000
                    found[name] = min(since, found.get(name, since))
    return found
