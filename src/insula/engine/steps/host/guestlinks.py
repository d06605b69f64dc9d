"""Steps that change the network of a guest that runs."""

from dataclasses import dataclass
from typing import ClassVar

from insula.engine.interfacespec import Address, Route
from insula.engine.launch.holdings import FormerLink, Holding
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationFailedError


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeLink(HostStep):
    """Have the network's performer change a link inside the guest's network namespace.

    name: of the link; former: what it was; addresses, routes: what one that is switched on has lost while it was off.
    """

    phrase: ClassVar[str] = "change the guest's link {name}"

    name: str
    former: LinkSnapshot
    change: LinkChange
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (FormerLink(link=self.former, change=self.change),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        if context.performer is None:
            raise OperationFailedError("there is nobody here to change network interfaces")
        await context.performer.change_link(
            self.former, self.change, self.addresses, self.routes, network=context.network_namespace
        )
        return self.announce(context.identity)
