"""The step that shows the files of a machine view at the kernel's own."""

import os
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Argument
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep

_DEVICES = "dev/"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowMachine(GuestStep):
    """Show files and directories of a view at the same paths below the root; those of /dev are made where missing."""

    phrase: ClassVar[str] = "show {paths} of {source}"

    source: str
    paths: list[str]

    def compile(self, program: Builder) -> None:
        root, view = program.rooted(), program.tree(self.source)
        with program.attached_for_a_moment(view, root):
            for path in self.paths:
                copy = program.detached_copy(path, directory=view)
                if path.startswith(_DEVICES):
                    target: Argument = program.place(root, path, directory=False)
                else:
                    target = program.open_beneath(root, path, os.O_PATH)
                program.attach(copy, target)
                program.close(target)
                program.close(copy)
