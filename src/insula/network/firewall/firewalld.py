"""firewalld: which of its zones a network's bridge is in, asked and told over D-Bus.

A bridge in no zone counts as one of the default zone, which usually takes neither requests for addresses nor packets on
their way.
Source: firewalld.dbus(5).
"""

from typing import Any

from insula.engine.launch.systembus import BusError, SystemBus

_NAME, _PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
_ZONES = "org.fedoraproject.FirewallD1.zone"
_USUAL = ("insula", "libvirt")
"""The zones for a network that names none: the first that there is."""
_SECONDS = 10.0


class Firewalld:
    """The daemon, if it runs. bus: the system's by default."""

    def __init__(self, bus: SystemBus | None = None) -> None:
        self._bus = bus or SystemBus()

    def admit(self, bridge: str, zone: str | None) -> str | None:
        """Have a bridge in a zone until firewalld ends; return in words why it is not, None if it is or need not be.

        zone: that of the definition, None for a usual one.
        """
        try:
            if not self._runs():
                return f"there is no firewalld for the zone '{zone}'" if zone is not None else None
            known = list(self._call("getZones", "", ())[0])
            chosen = zone if zone is not None else next((each for each in _USUAL if each in known), None)
            if chosen is None:
                return (
                    f"firewalld has none of the zones {', '.join(_USUAL)}: make one whose target is ACCEPT, or name "
                    "another (<bridge zone=''/>)"
                )
            if chosen not in known:
                return f"firewalld has no zone '{chosen}': it has {', '.join(known)}"
            self._call("changeZoneOfInterface", "ss", (chosen, bridge))
        except BusError as error:
            return f"firewalld could not be told of the bridge '{bridge}': {error}"
        return None

    def _runs(self) -> bool:
        from jeepney import DBus

        try:
            (owned,) = self._bus.call(DBus().NameHasOwner(_NAME), _SECONDS)
        except BusError:
            return False  # there is no bus, so there is no firewalld
        return bool(owned)

    def _call(self, method: str, signature: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        from jeepney import DBusAddress, new_method_call

        address = DBusAddress(_PATH, bus_name=_NAME, interface=_ZONES)
        return self._bus.call(new_method_call(address, method, signature, values), _SECONDS)
