"""The step that fetches what only the host may show of a namespace that is shared with another guest."""

import os
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.fds import Fd
from insula.kernel.messagequeues import queues_of


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchQueues(HostStep):
    """Mount the message queues of the IPC namespace that the child has joined, under a name for later steps."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "take the message queues of its IPC namespace as {name}"

    name: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        namespace = Fd(os.open("ns/ipc", os.O_RDONLY | os.O_CLOEXEC, dir_fd=context.process))
        try:
            context.fds[self.name] = await context.make(partial(queues_of, namespace), os.close)
        finally:
            os.close(namespace)
        return ()
