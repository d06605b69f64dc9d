"""What macvlans and ipvlans have in common: interfaces of the guest's own on top of a device of the host."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import IpvlanInterface, MacvlanInterface
from insula.network.kinds.interfacedriver import Networks, configure, configure_again
from insula.network.links import Link, delete_link, link, rename
from insula.network.macs import random_mac
from insula.network.rtnetlink import NetlinkRequest, Rtnetlink

Stacked = TypeVar("Stacked", MacvlanInterface, IpvlanInterface)


class StackedKind(ABC, Generic[Stacked]):
    """link_kind: as `ip link add type` has it."""

    kind: InterfaceKind
    link_kind: ClassVar[str]
    needs_inside = True

    @abstractmethod
    def creation(self, wanted: Stacked, name: str, device: Link, place: bytes, mac: str) -> NetlinkRequest:
        """Return the request that makes it on a device of the host's, in its place and switched off, under a name."""

    @abstractmethod
    def refusal(self, error: OSError, wanted: Stacked) -> str | None:
        """Return why the kernel does not make it, None where its own words say so."""

    def require(self, wanted: Stacked, device: Link) -> None:
        """Refuse a device on which it could not be what is wanted, though it was made. Raises: OSError."""

    @abstractmethod
    def is_elsewhere(self, connected: ConnectedInterface, former: Stacked, wanted: Stacked) -> bool:
        """Whether what is wanted stands on another device than before, or otherwise."""

    def identified(self, wanted: Stacked, networks: Networks) -> Stacked:
        return wanted if wanted.mac is not None else replace(wanted, mac=random_mac())

    def make(self, wanted: Stacked, networks: Networks) -> ConnectedInterface:
        device = link(networks.host, wanted.device)
        if device is None:
            raise OSError(errno.ENODEV, f"the host has no network device '{wanted.device}'")
        mac = wanted.mac or random_mac()
        try:
            made = self.created(
                networks, wanted.guest, mac, lambda name: self.creation(wanted, name, device, networks.guest, mac)
            )
        except OSError as error:
            if (refusal := self.refusal(error, wanted)) is None:
                raise
            raise OSError(error.errno, refusal) from error
        self.require(wanted, device)
        configure(networks.inside, made.index, wanted, up=wanted.up)
        return ConnectedInterface(
            guest=wanted.guest,
            host="",
            host_index=0,
            bridge=None,
            mac=mac,
            kind=self.kind,
            guest_index=made.index,
            device=wanted.device,
        )

    def created(self, networks: Networks, name: str, mac: str, request: Callable[[str], NetlinkRequest]) -> Link:
        """Return the new link in the guest's network. name: inside; request: what makes it under a name.

        Before Linux 6.15 the kernel refuses a name that an interface of the host has, for what comes into being in
        another namespace too: then it gets its own there. Raises: OSError.
        """
        at_first = name
        try:
            networks.host.perform(request(name))
        except FileExistsError:
            if link(networks.inside, name) is not None or link(networks.host, name) is None:
                raise
            at_first = name_at_first(mac)
            networks.host.perform(request(at_first))
        made = link(networks.inside, at_first)
        if made is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        networks.undo.callback(networks.inside.perform, delete_link(made.index))
        if at_first != name:
            networks.inside.perform(rename(made.index, name))
        return made

    def withdraw(self, wanted: Stacked, networks: Networks) -> None:
        assert wanted.mac is not None
        found = self.left(networks, wanted.guest, wanted.mac)
        if found is not None:
            networks.inside.perform(delete_link(found.index))

    def left(self, networks: Networks, name: str, mac: str) -> Link | None:
        """Return what `created` has made in the guest's network, if it did not come to its end."""
        for each in (name, name_at_first(mac)):
            found = link(networks.inside, each)
            if found is not None and found.kind == self.link_kind:
                return found
        return None

    def change(self, connected: ConnectedInterface, former: Stacked, wanted: Stacked, networks: Networks) -> None:
        """Switch it on or off: what it stands on, and how, is chosen once."""
        found = link(networks.inside, connected.guest_index)
        if found is None:
            raise OSError(errno.ENODEV, "the guest has removed it")
        if self.is_elsewhere(connected, former, wanted):
            raise OSError(errno.EOPNOTSUPP, f"it stands on '{connected.device}' as long as it is plugged in")
        if found.up != wanted.up:
            configure_again(networks.inside, found.index, wanted)

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        if self.is_there(connected, networks):
            networks.inside.perform(delete_link(connected.guest_index))

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        found = link(networks.inside, connected.guest_index)
        return found is not None and found.kind == self.link_kind

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Remove it, since its device may be wanted otherwise; without us it goes with the guest's namespace."""
        if inside is not None:
            with suppress(OSError):  # the guest has removed it
                inside.perform(delete_link(connected.guest_index))


def name_at_first(mac: str) -> str:
    """Return the name of a card that is yet to get its own: no other has it, on the host or inside."""
    return f"at{mac.replace(':', '')}"
