"""The machine view of a guest: a connection of its own, and the process that serves it told of the guest."""

from dataclasses import dataclass
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.machineviews import DEVICE, MEMORY, viewed_guest
from insula.engine.spec import IdMap
from insula.engine.steps.host.groups import group_of
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import UnsupportedConfigError
from insula.kernel.fuse import connect
from insula.view.requestnotes import make_memory

_SOURCE = "insula-view"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectView(HostStep):
    """Make a connection and its mount, which reaches the guest under a name."""

    phrase: ClassVar[str] = "connect a machine view, as {name}"

    name: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        if context.views is None:
            raise UnsupportedConfigError("nobody serves machine views here, as insulad does: start it without one")
        device, context.fds[self.name] = connect(_SOURCE)
        context.view[DEVICE] = device
        context.view[MEMORY] = make_memory()
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeView(HostStep):
    """Have the connection served: the guest reads nothing before.

    uuid, domain: whose; idmap, time_offsets: its ids and its clocks, as the spec has them.
    """

    phrase: ClassVar[str] = "have the machine view of {domain} served"
    needs_child: ClassVar[bool] = True

    uuid: str
    domain: str
    idmap: IdMap | None = None
    time_offsets: tuple[int, int] | None = None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        guest = viewed_guest(
            uuid=self.uuid,
            launch=context.launch,
            name=self.domain,
            group=group_of(context),
            pid=context.child,
            born=context.born,
            idmap=self.idmap,
            time_offsets=self.time_offsets,
        )
        assert context.views is not None  # else there were no connection
        context.views.show(guest, context.view)
        return ()
