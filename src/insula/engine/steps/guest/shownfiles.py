"""A small file in memory, shown where the image has one of its own, or none: the image stays as it is."""

from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.beneath import CONTAINED
from insula.kernel.mounts import MountAttribute

_NAME = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowFile(GuestStep):
    """Show a file with a content of ours at a path of the guest's; where there is nothing, an empty one is made first.

    The guest's root may change its content, and take it off: then the image's own is there again.
    """

    phrase: ClassVar[str] = "show {path} with other content"

    path: str
    content: str
    mode: int = 0o644

    def compile(self, program: Builder) -> None:
        memory = program.make_filesystem("tmpfs", [["size", "1m"], ["nr_inodes", "2"]], attributes=_HARMLESS)
        program.create_beneath(memory, _NAME, self.content, mode=self.mode)
        root = program.rooted()
        with program.attached_for_a_moment(memory, root):
            copy = program.detached_copy(_NAME, directory=memory)
        target = program.place(root, self.path, resolve=CONTAINED, directory=False)
        program.attach(copy, target)
        for fd in (target, copy, memory):
            program.close(fd)


_HARMLESS = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC
