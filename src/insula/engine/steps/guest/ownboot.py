"""Steps that give a guest a boot of its own, and leave it the kernel's file systems in full view."""

import os
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.mounts import MountAttribute

OURS = "dev/.insula"
"""The directory for what is ours in a guest."""
_FOR_ROOT = 0o700


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowUncovered(GuestStep):
    """Show a file system of the kernel's once more, without what is mounted below it, and writable.

    The kernel lets a user namespace mount only file systems of which a mount is in full view: mount_too_revealing in
    linux/fs/namespace.c. source: where it is mounted, below the root.
    """

    phrase: ClassVar[str] = "show what is mounted at /{source} at /dev/.insula/{source}, uncovered"

    source: str

    def compile(self, program: Builder) -> None:
        root = program.rooted()
        copy = program.detached_copy(self.source, directory=root)
        program.change(copy, remove=MountAttribute.READ_ONLY)
        target = program.make_directories(root, f"{OURS}/{self.source}", mode=_FOR_ROOT)
        program.attach(copy, target)
        program.close(target)
        program.close(copy)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowBootId(GuestStep):
    """Cover the host's boot id with one that the kernel makes up."""

    phrase: ClassVar[str] = "show a boot id of its own"

    def compile(self, program: Builder) -> None:
        root = program.rooted()
        text, size = program.room(_SIZE), _SIZE
        made_up = program.open_beneath(root, f"{_RANDOM}/uuid", os.O_RDONLY)
        program.call("read", made_up, text, size, wanted=size)
        program.close(made_up)
        directory = program.make_directories(root, OURS, mode=_FOR_ROOT)
        file = program.open_beneath(directory, "boot_id", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o444)
        program.call("write", file, text, size, wanted=size)
        program.close(file)
        cover = program.detached_copy("boot_id", directory=directory)
        program.change(cover, add=MountAttribute.READ_ONLY)
        target = program.open_beneath(root, f"{_RANDOM}/boot_id", os.O_PATH)
        program.attach(cover, target)
        for fd in (target, cover, directory):
            program.close(fd)


_RANDOM = "proc/sys/kernel/random"
_SIZE = 37
"""A UUID and a newline. Source: random(4)."""
