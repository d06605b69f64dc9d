"""firewalld's zones over a bus that stands in."""

from typing import Any, cast

import pytest

from insula.engine.launch.systembus import BusError, SystemBus
from insula.network.firewall.firewalld import Firewalld


class ZoneBus:
    """A bus with a firewalld that has zones; none at all with None. asked: the calls, by name and values."""

    def __init__(self, zones: list[str] | None, *, refusal: str = "") -> None:
        self.zones, self.refusal = zones, refusal
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def call(self, message: Any, seconds: float) -> tuple[Any, ...]:
        from jeepney import HeaderFields

        name = message.header.fields[HeaderFields.member]
        self.asked.append((name, message.body))
        match name:
            case "NameHasOwner":
                return (self.zones is not None,)
            case "getZones":
                return (self.zones,)
        if self.refusal:
            raise BusError(self.refusal)
        return (message.body[0],)


def admitted(bus: ZoneBus, zone: str | None = None) -> str | None:
    return Firewalld(cast("SystemBus", bus)).admit("virbr0", zone)


def test_where_it_does_not_run_nothing_is_asked_and_a_zone_is_missed() -> None:
    assert admitted(ZoneBus(None)) is None
    assert admitted(ZoneBus(None), "lab") == "there is no firewalld for the zone 'lab'"


@pytest.mark.parametrize(
    ("zone", "zones", "chosen"),
    [(None, ["public", "libvirt"], "libvirt"), (None, ["libvirt", "insula"], "insula"), ("lab", ["lab"], "lab")],
)
def test_a_bridge_comes_into_the_zone_that_is_named_or_a_usual_one(
    zone: str | None, zones: list[str], chosen: str
) -> None:
    bus = ZoneBus(zones)
    assert admitted(bus, zone) is None
    assert bus.asked[-1] == ("changeZoneOfInterface", (chosen, "virbr0"))


def test_what_it_has_not_is_told_with_what_to_do() -> None:
    assert "none of the zones insula, libvirt: make one" in (admitted(ZoneBus(["public"])) or "")
    assert admitted(ZoneBus(["public", "home"]), "lab") == "firewalld has no zone 'lab': it has public, home"


def test_what_it_refuses_is_told() -> None:
    bus = ZoneBus(["insula"], refusal="ZONE_CONFLICT")
    assert admitted(bus) == "firewalld could not be told of the bridge 'virbr0': ZONE_CONFLICT"


def test_a_host_without_a_bus_has_no_firewalld() -> None:
    class NoBus:
        def call(self, message: Any, seconds: float) -> tuple[Any, ...]:
            raise BusError("there is no system bus")

    assert Firewalld(cast("SystemBus", NoBus())).admit("virbr0", None) is None
