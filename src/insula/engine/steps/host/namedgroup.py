"""Steps that give a guest a group in the v1 hierarchy named systemd, for an init that knows no unified one."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.launch.holdings import Holding, NamedGroup
from insula.engine.steps.host.groups import group_of
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.cgroups.namedhierarchy import SYSTEMD, hand_over, make_named


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOverNamedGroup(HostStep):
    """Let the guest's root make groups below its own, on a host that has the hierarchy mounted.

    owner: host uid and gid of the guest's root.
    """

    phrase: ClassVar[str] = "give its group in the hierarchy named systemd to its root"

    owner: tuple[int, int]

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        directory = group_of(context).directory(f"name={SYSTEMD}")
        if directory is not None:
            hand_over(directory, self.owner)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinNamedGroup(HostStep):
    """Make a group in the hierarchy, which is made with it, and move the first process there.

    owner: as above, None for a container without a user namespace.
    """

    phrase: ClassVar[str] = "make a group of a hierarchy named systemd for it"
    needs_child: ClassVar[bool] = True

    owner: tuple[int, int] | None

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (NamedGroup(made=False),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        made = NamedGroup()
        await context.offload(partial(make_named, made.name(context.launch), context.child, self.owner))
        return (made,)
