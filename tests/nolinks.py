"""For tests' performers of interfaces that make some, or pretend to, and change no links of guests that run."""

from collections.abc import Sequence

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace
from insula.engine.interfacespec import Address, Interface, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot


class NoLinks:
    """The part of an `InterfacePerformer` that changes what runs: nobody asks for it here."""

    def identified(self, interface: Interface, *, network: int) -> Interface:
        raise AssertionError("no interface is plugged in here")

    def join(
        self, made: Sequence[tuple[ConnectedInterface, Interface]], place: HelperPlace, *, network: int
    ) -> tuple[ConnectedInterface, ...]:
        raise AssertionError("no interface is of a switch here")

    def plug(self, interface: Interface, place: HelperPlace, *, network: int) -> ConnectedInterface:
        raise AssertionError("no interface is plugged in here")

    def unplug(self, connected: ConnectedInterface, *, network: int) -> None:
        raise AssertionError("no interface is plugged in here")

    def withdraw(self, interface: Interface, launch: str, *, network: int) -> None:
        raise AssertionError("no interface is plugged in here")

    def revive(
        self, connected: ConnectedInterface, interface: Interface, place: HelperPlace, *, network: int
    ) -> ConnectedInterface:
        raise AssertionError("no interface has a helper here")

    def end_helpers(self, launch: str) -> None:
        raise AssertionError("no interface has a helper here")

    def change_port(self, connected: ConnectedInterface, former: Interface, wanted: Interface, *, network: int) -> None:
        raise AssertionError("no interface is plugged in here")

    def adopt(self, plugged: Sequence[tuple[ConnectedInterface, Interface]], *, network: int) -> None:
        """Nothing is filtered here, and nothing needs the guest's network."""

    def gone(self, connected: Sequence[ConnectedInterface], *, network: int) -> tuple[ConnectedInterface, ...]:
        raise AssertionError("no interface is plugged in here")

    async def look_at_link(self, name: str, change: LinkChange, *, network: int) -> LinkSnapshot:
        raise AssertionError("no link is changed here")

    async def change_link(
        self,
        former: LinkSnapshot,
        change: LinkChange,
        addresses: Sequence[Address],
        routes: Sequence[Route],
        *,
        network: int,
    ) -> None:
        raise AssertionError("no link is changed here")

    async def restore_link(self, former: LinkSnapshot, change: LinkChange, *, network: int) -> None:
        raise AssertionError("no link is changed here")
