"""For tests' performers of interfaces that make some, or pretend to, and change no links of guests that run."""

from collections.abc import Sequence

from insula.engine.interfacespec import Address, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot


class NoLinks:
    """The part of an `InterfacePerformer` that changes links: nobody asks for it here."""

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
