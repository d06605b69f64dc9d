"""Interfaces of a guest that runs, as its definition has them: told apart by their MAC address, or the device's name.

What a card is plugged into may change while it is plugged in; its place inside, its name and addresses, may not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from insula.engine.interfacespec import (
    IpvlanInterface,
    MacvlanInterface,
    MovedInterface,
    UserInterface,
    VethInterface,
)
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.model.domain import unplugged_card
from insula.model.interfaces import InterfaceType
from insula.network.guestnetwork import free_names, moved_interface

if TYPE_CHECKING:
    from collections.abc import Mapping

    from insula.engine.interfacespec import Interface
    from insula.engine.launch.changes import WriteRecord
    from insula.engine.launch.runningcontainer import ContainerRecord, Running
    from insula.model.devices import Devices
    from insula.model.interfaces import Interface as Card
    from insula.service.containers import ContainerEngine, Preparation
    from insula.service.managed import ManagedDomain

_FREE = frozenset({"bridge", "up", "port"})
"""What of an interface's spec may become different while it is plugged in."""
_WORDS = {
    "host": "its name on the host (<target>)",
    "mtu": "its MTU",
    "addresses": "its addresses",
    "routes": "its routes",
    "device": "the host's device",
    "mode": "its mode",
    "helper": "its helper (<backend>)",
    "log": "its helper's log (<backend>)",
    "forwards": "its forwarded ports (<portForward>)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugs:
    """What is to become different: names of interfaces inside that go, interfaces that change, and that come."""

    go: tuple[str, ...] = ()
    change: tuple[Interface, ...] = ()
    come: tuple[Interface, ...] = ()


class LiveInterfaces:
    """Gives interfaces to guests, plugs them in elsewhere, and takes them away. Callers hold the domain's lock."""

    def __init__(self, engine: ContainerEngine, preparation: Preparation) -> None:
        self._engine = engine
        self._preparation = preparation

    async def planned(self, record: ContainerRecord, before: Devices, after: Devices) -> Plugs:
        """Return what makes a guest's interfaces those of its changed definition; nothing is touched.

        Raises: OperationUnsupportedError for what cannot change while it is plugged in; UnsupportedConfigError.
        """
        if (before.interfaces, before.host_devices) == (after.interfaces, after.host_devices):
            return Plugs()
        return await in_own_thread(partial(self._planned, record, before, after))

    def _planned(self, record: ContainerRecord, before: Devices, after: Devices) -> Plugs:
        names = names_by_mac(record)
        former, wanted = _cards(before), _cards(after)
        devices, wanted_devices = _moved(before), _moved(after)
        go = [_name(names, mac) for mac in former if mac not in wanted]
        go += [name for name in devices if name not in wanted_devices]
        change = []
        for mac, card in wanted.items():
            if mac in former and card != former[mac]:
                changed = self._changed(record, card, _name(names, mac))
                change += [changed] if changed is not None else []
        given = {each.guest for each in record.spec.interfaces} - set(go)
        given |= {card.guest.device for card in wanted.values() if card.guest and card.guest.device}
        free = free_names(given)
        come = [
            self._preparation.plug(card, (card.guest and card.guest.device) or next(free))
            for mac, card in wanted.items()
            if mac not in former
        ]
        come += [each for name, each in wanted_devices.items() if name not in devices]
        return Plugs(go=tuple(go), change=tuple(change), come=tuple(come))

    def _changed(self, record: ContainerRecord, card: Card, guest: str) -> Interface | None:
        """Return the interface as it is to be, None if it stays as it is."""
        if card.guest is not None and card.guest.device not in (None, guest):
            raise OperationUnsupportedError(_fixed(guest, "its name in the guest"))
        former = next(each for each in record.spec.interfaces if each.guest == guest)
        pooled = card.type is InterfaceType.NETWORK and not isinstance(former, VethInterface | UserInterface)
        if pooled and card.source is not None:
            device = getattr(former, "device", None)
            card = replace(card, source=replace(card.source, device=device))  # of a pool it keeps what it has
        wanted = self._preparation.plug(card, guest)
        if type(wanted) is not type(former):
            raise OperationUnsupportedError(_fixed(guest, "its type"))
        wanted = _with_what_it_has(wanted, former, record, pooled=pooled)
        for field in type(former).__dataclass_fields__:
            if field not in _FREE and getattr(wanted, field) != getattr(former, field) and field != "mac":
                raise OperationUnsupportedError(_fixed(guest, _WORDS.get(field, f"its {field}")))
        return None if wanted == former else wanted

    async def apply(self, managed: ManagedDomain, container: Running, plugs: Plugs, write: WriteRecord) -> None:
        """Do what was planned: what goes, goes first. Raises: InsulaError, OSError; a part of it may be done."""
        for guest in plugs.go:
            await managed.lock.unless_overtaken(self._engine.interfaces.detach(container, guest, write))
        for interface in plugs.change:
            await managed.lock.unless_overtaken(self._engine.interfaces.change_port(container, interface, write))
        for interface in plugs.come:
            await managed.lock.unless_overtaken(self._engine.interfaces.attach(container, interface, write))

    async def settle(self, managed: ManagedDomain, container: Running, write: WriteRecord) -> None:
        """Let a guest have the interfaces its definition tells of, and no other, after a change that was cut short.

        What the definition tells of and the guest has not any more is for the caller to strike from it.
        """
        await managed.lock.unless_overtaken(self._engine.interfaces.settle(container, write))
        devices, record = managed.current.devices, container.record
        names = names_by_mac(record)
        told = {names.get(mac) for mac in _cards(devices)} | set(_moved(devices))
        untold = tuple(each.guest for each in record.spec.interfaces if each.guest not in told)
        change = []
        for mac, card in _cards(devices).items():
            if mac in names:
                changed = await in_own_thread(partial(self._changed, record, card, names[mac]))
                change += [changed] if changed is not None else []
        await self.apply(managed, container, Plugs(go=untold, change=tuple(change)), write)


def _with_what_it_has(wanted: Interface, former: Interface, record: ContainerRecord, *, pooled: bool) -> Interface:
    """Return an interface as it is to be, with what was chosen for it where the definition leaves that open.

    pooled: it stands on a device that its network chose.
    """
    connected = next((each for each in record.connected if each.guest == former.guest), None)
    match wanted, former:
        case VethInterface(), VethInterface():
            end = connected.host if connected is not None else former.host
            host = former.host if wanted.host in (None, end) else wanted.host
            return replace(wanted, host=host, guest_up=former.guest_up)
        case UserInterface(), UserInterface():
            program = connected.helper.program if connected is not None and connected.helper is not None else None
            return replace(wanted, helper=former.helper if wanted.helper in (None, program) else wanted.helper)
        case (
            (MacvlanInterface() | IpvlanInterface() | MovedInterface()),
            (MacvlanInterface() | IpvlanInterface() | MovedInterface()),
        ):
            return replace(wanted, device=former.device) if pooled else wanted
        case _:
            return wanted


def names_by_mac(record: ContainerRecord) -> dict[str, str]:
    """Return what a guest's interfaces are called inside, by the MAC addresses they were given."""
    return {each.mac.lower(): each.guest for each in record.connected}


def with_interfaces_of(devices: Devices, record: ContainerRecord) -> Devices:
    """Return a live definition's devices without the interfaces that its guest has not any more."""
    macs, guests = names_by_mac(record), {each.guest for each in record.spec.interfaces}
    return replace(
        devices,
        interfaces=tuple(each for each in devices.interfaces if str(each.mac).lower() in macs),
        host_devices=tuple(
            each for each in devices.host_devices if each.moved_interface is None or each.moved_interface in guests
        ),
    )


def _cards(devices: Devices) -> dict[str, Card]:
    return {str(each.mac).lower(): replace(unplugged_card(each), alias=None) for each in devices.interfaces}


def _moved(devices: Devices) -> dict[str, Interface]:
    return {each.moved_interface: moved_interface(each) for each in devices.host_devices if each.moved_interface}


def _name(names: Mapping[str, str], mac: str) -> str:
    if mac not in names:
        raise OperationFailedError(f"the guest's interface {mac} is not known: restart the domain")
    return names[mac]


def _fixed(guest: str, what: str) -> str:
    return (
        f"interface '{guest}': {what} stays as long as it is plugged in; change the definition (--config) and restart "
        "the domain, or detach the interface and attach it anew"
    )
