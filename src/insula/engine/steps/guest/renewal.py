"""Steps that renew a mount: the new one is attached beneath the former one, which is then taken off.

At each moment one of the two is to be seen. Nothing can be attached above the former one: its file has lost its name.
"""

import errno
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Label
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import mount_at, skip_unless_mount, take_off_found


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachBeneath(GuestStep):
    """Attach a tree that was passed beneath the mount at target. mount: the id of that one."""

    phrase: ClassVar[str] = "put {source} beneath what is shown at {target}"

    source: str
    target: str
    mount: int

    def compile(self, program: Builder) -> None:
        other, done = Label(), Label()
        found, facts = mount_at(program, self.target)
        skip_unless_mount(program, facts, self.mount, other)
        means = "it is locked, or the kernel attaches nothing beneath a mount (Linux 6.5 does)"
        program.attach_under(program.tree(self.source), found, means={errno.EINVAL: means}, about=self.target)
        program.close(found)
        program.skip(done)
        program.here(other)
        program.fail(errno.EBUSY, "another mount is there by now", about=self.target)
        program.here(done)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetachBeneath(GuestStep):
    """Take a mount off that is beneath the one at target, which stays. mount, former: ids of the two.

    The kernel takes none off from beneath another: the upper one is copied, and the copy attached again. It attaches
    none whose file has lost its name; that is tried beforehand, with another copy. Then both stay, which is a failure.
    """

    phrase: ClassVar[str] = "take off what is beneath the mount at {target}"

    target: str
    mount: int
    former: int

    def compile(self, program: Builder) -> None:
        other, nameless, done = Label(), Label(), Label()
        found, facts = mount_at(program, self.target)
        skip_unless_mount(program, facts, self.former, other)
        copy, tried = program.copy_of(found), program.copy_of(found)
        program.attach_under(tried, found, unless=(errno.ENOENT, nameless))
        take_off_found(program, found, self.target, done)
        program.close(found)
        between, _ = mount_at(program, self.target)
        take_off_found(program, between, self.target, done)
        program.close(between)
        below, facts = mount_at(program, self.target)
        alone = Label()
        skip_unless_mount(program, facts, self.mount, alone)
        take_off_found(program, below, self.target, alone)
        program.here(alone)
        program.close(below)
        bare, _ = mount_at(program, self.target)
        program.attach(copy, bare)
        for fd in (bare, copy, tried):
            program.close(fd)
        program.skip(done)
        program.here(nameless)
        means = "the file shown has lost its name, and could not be shown again: both stay, the new one unseen"
        program.fail(errno.EBUSY, means, about=self.target)
        program.here(other)
        program.call("close", found, whatever=True)
        program.here(done)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetachFormer(GuestStep):
    """Take the mount of that id off, if it is the one at target."""

    phrase: ClassVar[str] = "take the former mount off {target}"

    target: str
    mount: int

    def compile(self, program: Builder) -> None:
        other = Label()
        found, facts = mount_at(program, self.target)
        skip_unless_mount(program, facts, self.mount, other)
        take_off_found(program, found, self.target, other)
        program.here(other)
        program.call("close", found, whatever=True)
