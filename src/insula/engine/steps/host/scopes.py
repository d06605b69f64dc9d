"""The step that puts the container's control group below a scope of the host's systemd."""

from dataclasses import dataclass
from typing import ClassVar

from insula.engine.launch.holdings import Holding, ScopeGroup
from insula.engine.launch.systemdscope import Manager, ScopeError
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationFailedError
from insula.kernel.cgroups import set_maker, slice_name
from insula.kernel.fds import Fd


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeScope(HostStep):
    """Take a scope that stands ready, or wait for one, and have its group be the container's.

    manager: whether systemd-machined is told of it, once the guest runs; owner: the host's ids of the guest's root,
    who may make groups below, None for a container without a user namespace. Nothing is held by it before: a scope that
    is not used is empty once its placeholder has ended, and systemd removes it.
    """

    phrase: ClassVar[str] = "take a scope in {partition} for {domain}, and have {manager} know it"

    manager: Manager
    partition: str
    domain: str
    owner: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        scopes = context.scopes
        if scopes is None:
            raise RuntimeError("the plan takes a scope where nobody makes any")
        wanted = slice_name(self.partition)
        ready = scopes.take_at_once(wanted)
        try:
            # Whatever becomes of who waits here, the scope is the context's.
            taken = context.hold_scope(ready or await context.offload(lambda: context.hold_scope(scopes.take(wanted))))
        except ScopeError as error:
            raise OperationFailedError(f"systemd makes no scope for '{self.domain}': {error}") from error
        group = context.group = taken.group
        group.delegate(self.owner)
        set_maker(group, context.launch)
        into = group.into_fd()
        if into is not None:
            context.clone_fds["cgroup"] = Fd(into)
        context.fds |= {f"join{number}": Fd(fd) for number, fd in enumerate(group.join_fds())}
        return (ScopeGroup(path=group.path),)
