"""Steps that protect or hide what the kernel's file systems show in the guest's tree."""

import os
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Argument
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.mounts import MountAttribute

_EMPTY = (("mode", "555"), ("size", "0"), ("nr_inodes", "3"))
_HARMLESS = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectPaths(GuestStep):
    """Make paths below the kernel's file systems read-only; those that do not exist are passed over."""

    phrase: ClassVar[str] = "make {paths} read-only, except {writable}"

    paths: list[str]
    writable: list[str]

    def compile(self, program: Builder) -> None:
        for path in self.paths:
            inner = [each for each in self.writable if each.startswith(f"{path}/")]
            with program.if_there(program.rooted(), path) as found:
                _make_read_only(program, found, inner)


def _make_read_only(program: Builder, found: Argument, writable: list[str]) -> None:
    """Cover what is there with itself, but read-only; writable: paths below it that are shown as they were."""
    root = program.rooted()
    kept = [(path, program.copy_if_there(root, path)) for path in writable]
    copy = program.copy_of(found)
    program.change(copy, add=MountAttribute.READ_ONLY, recursive=True)
    program.attach(copy, found)
    program.close(copy)
    for path, (mount, missing) in kept:
        with program.if_equal(missing, 0):
            program.attach_beneath(root, path, mount)
            program.close(mount)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPaths(GuestStep):
    """Cover files with an empty read-only one and directories likewise, where they exist."""

    phrase: ClassVar[str] = "hide {paths}"

    paths: list[str]

    def compile(self, program: Builder) -> None:
        """The covers are parts of one file system."""
        root = program.rooted()
        ground = program.make_filesystem("tmpfs", _EMPTY, attributes=_HARMLESS)
        program.call("mkdirat", ground, program.text("directory"), 0o555)
        file = program.call("openat", ground, program.text("file"), os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o444)
        program.close(file)
        with program.attached_for_a_moment(ground, root):
            for path in self.paths:
                with program.if_there(root, path) as found:
                    for is_directory in program.either_kind(found):
                        cover = program.detached_copy("directory" if is_directory else "file", directory=ground)
                        program.change(cover, add=MountAttribute.READ_ONLY)
                        program.attach(cover, found)
                        program.close(cover)
        program.close(ground)
