"""Device nodes of a guest that runs, as far as its own /dev is concerned."""

import os
import stat
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Label
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.beneath import CONTAINED

_AT_SYMLINK_NOFOLLOW = 0x100
_BASIC_FACTS = 0x7FF
_FACTS_SIZE = 256
_MODE, _SIZE, _NUMBER = 28, 40, 128
"""Where they are in struct statx: two bytes and two of padding, eight, and major and minor. Source: statx(2)."""
_MADE = stat.S_IFREG | 0o644
"""The mode of a file that was made to show a node at (`Builder.place`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveNode(GuestStep):
    """Remove a node of these numbers, or the empty file that was made to show it at; whatever else is there stays.

    target: as the guest sees it.
    """

    phrase: ClassVar[str] = "remove the device {target}"

    target: str
    major: int
    minor: int

    def compile(self, program: Builder) -> None:
        parent, _, name = self.target.rpartition("/")
        other, is_node, remove = Label(), Label(), Label()
        facts = program.room(_FACTS_SIZE)
        # Where nothing can be looked up, nothing of ours is: the facts stay zeros then.
        flags = os.O_PATH | os.O_DIRECTORY
        directory = program.open_beneath(program.rooted(), parent or "/", flags, resolve=CONTAINED, whatever=True)
        named = program.text(name)
        program.call("statx", directory, named, _AT_SYMLINK_NOFOLLOW, _BASIC_FACTS, facts, whatever=True)
        for offset, value in ((_MODE, _MADE), (_SIZE, 0), (_SIZE + 4, 0)):
            program.skip_unless(facts.beyond(offset), value, is_node)
        program.skip(remove)
        program.here(is_node)
        for offset, value in ((_NUMBER, self.major), (_NUMBER + 4, self.minor)):
            program.skip_unless(facts.beyond(offset), value, other)
        with program.if_equal(facts.beyond(_MODE), 0):
            program.skip(other)
        program.here(remove)
        program.remove_beneath(directory, name)
        program.here(other)
        program.call("close", directory, whatever=True)
