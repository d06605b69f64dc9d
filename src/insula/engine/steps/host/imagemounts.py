"""The step that mounts the file system of a block device or an image file."""

import os
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.engine.steps.host.layers import refuse_host_root
from insula.engine.steps.host.owners import map_owners
from insula.kernel.mountedimage import mounted_image


@dataclass(frozen=True, kw_only=True, slots=True)
class MountImage(HostStep):
    """Mount the file system on a block device, or in an image file by a loop device that clears itself.

    fstype: None to look what it is; start, size: which part of the image it is, in bytes, a size of 0 for all that
    follows; root: it becomes the guest's root.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "mount {path} as {name}"

    name: str
    path: str
    fstype: str | None
    read_only: bool
    idmapped: bool
    start: int = 0
    size: int = 0
    root: bool = False

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        mounting = partial(
            mounted_image, self.path, fstype=self.fstype, start=self.start, size=self.size, read_only=self.read_only
        )
        tree = context.fds[self.name] = await context.make(mounting, os.close)
        if self.root:
            refuse_host_root(tree, self.path)
        if self.idmapped:
            # A root of nobody's is none.
            map_owners(context, tree, self.path, read_only=self.read_only and not self.root)
        return ()
