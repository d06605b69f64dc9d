"""Steps that have a guest's systemd find done what its units would do, or that leave out what cannot be done here."""

import errno
import os
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Label
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import attributes_of
from insula.kernel.beneath import CONTAINED


@dataclass(frozen=True, kw_only=True, slots=True)
class MountForUnit(GuestStep):
    """Mount what a guest's systemd would mount by a unit that it has switched on, if there is a directory for it.

    unit: such as `tmp.mount`; wanted_by: the target that starts it. Links of the guest's are not followed.
    """

    phrase: ClassVar[str] = "mount {fstype} at /{target} if the guest's {unit} would"

    unit: str
    wanted_by: str
    fstype: str
    target: str
    options: list[list[str | None]]
    attributes: list[str]

    def compile(self, program: Builder) -> None:
        root, wanted, unwanted = program.rooted(), Label(), Label()
        masked = program.name_is_there(root, f"etc/systemd/system/{self.unit}")
        with program.if_equal(masked, 0):
            program.skip(unwanted)
        for place in ("etc", "usr/lib", "lib"):
            wish = program.name_is_there(root, f"{place}/systemd/system/{self.wanted_by}.wants/{self.unit}")
            with program.if_equal(wish, 0):
                program.skip(wanted)
        program.skip(unwanted)
        program.here(wanted)
        there = program.name_is_there(root, self.target)
        program.skip_unless(there, 0, unwanted)
        # systemd mounts nothing over a link: `ConditionPathIsSymbolicLink=` of tmp.mount.
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        target = program.open_beneath(root, self.target, flags, resolve=CONTAINED, unless=(errno.ENOTDIR, unwanted))
        mount = program.make_filesystem(self.fstype, self.options, attributes=attributes_of(self.attributes))
        program.attach(mount, target)
        program.close(mount)
        program.close(target)
        program.here(unwanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class SkipUnits(GuestStep):
    """Have a guest's systemd pass over units, in a /run of ours, as if they had been started.

    A mask would not do: what requires a masked unit, as local-fs.target does its mounts, is not started either.
    Source: systemd.unit(5), "Conditions and Asserts".
    """

    phrase: ClassVar[str] = "have the units {units} passed over"

    units: list[str]

    def compile(self, program: Builder) -> None:
        for unit in self.units:
            directory = program.make_directories(program.rooted(), f"run/systemd/system/{unit}.d")
            program.create_beneath(directory, "00-insula.conf", "[Unit]\nConditionVirtualization=!container\n")
            program.close(directory)
