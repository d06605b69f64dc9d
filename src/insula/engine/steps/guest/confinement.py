"""Steps that take away what the guest shall not have."""

import errno
import resource
import struct
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.accounts import (
    COUNT_OFFSET,
    GID_OFFSET,
    GROUPS_OFFSET,
    HOME_OFFSET,
    UID_OFFSET,
    account_size,
)
from insula.engine.policy.syscalls import programs
from insula.engine.program.assembly import Loaded
from insula.engine.program.builder import Builder
from insula.engine.spec import Seccomp
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.apparmor import AT_NEXT_EXEC, profile_at_exec
from insula.kernel.landlock import LandlockScope, ruleset
from insula.kernel.privileges import CAPABILITY_VERSION, Ambient, Control, mask_of

_JOIN_SESSION_KEYRING = 1
"""Source: keyctl(2)."""
_INFINITY = (1 << 64) - 1
_LOW = 0xFFFFFFFF
_UNCHANGED = 0xFFFFFFFF
"""In place of a gid: leave it as it is. Source: fchown(2)."""
_SET_SECCOMP = 22
_MODE_FILTER = 2
_INSTRUCTION_SIZE = 8
"""Source: linux/filter.h, prctl(2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RaiseLimit(GuestStep):
    """Have a limit as high as it will have to be, while the process still has the host's powers."""

    phrase: ClassVar[str] = "raise its limit {name}"

    name: str
    hard: int | None

    def compile(self, program: Builder) -> None:
        _limit(program, self.name, self.hard, self.hard)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitResource(GuestStep):
    """Set one resource limit; None is infinity. Raises: OSError(EPERM) if the hard limit cannot be raised that far."""

    phrase: ClassVar[str] = "limit {name}"

    name: str
    soft: int | None
    hard: int | None

    def __str__(self) -> str:
        # super() means the class as it was before it got slots.
        soft, hard = ("no end" if each is None else str(each) for each in (self.soft, self.hard))
        return f"{GuestStep.__str__(self)} to {soft}, and to {hard} at most"

    def compile(self, program: Builder) -> None:
        _limit(program, self.name, self.soft, self.hard)


def _limit(program: Builder, name: str, soft: int | None, hard: int | None) -> None:
    most = "it is above the host's fs.nr_open, or " if name == "NOFILE" else ""
    means = {
        errno.EPERM: f"{most}the hard limit is lower here and cannot be raised without CAP_SYS_RESOURCE ({{error}})",
        errno.EINVAL: "the soft limit is above the hard one ({error})",
    }
    pair = struct.pack("<QQ", *(_INFINITY if each is None else each for each in (soft, hard)))
    kind = getattr(resource, f"RLIMIT_{name}")
    program.call("prlimit64", 0, kind, program.constant(pair), 0, means=means, about=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinFreshKeyring(GuestStep):
    """Leave the host's session keyring behind."""

    phrase: ClassVar[str] = "join a session keyring of its own"

    def compile(self, program: Builder) -> None:
        program.call("keyctl", _JOIN_SESSION_KEYRING, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnAccount(GuestStep):
    """Read who to become from the file named account (`engine.accounts`), which the daemon has made."""

    phrase: ClassVar[str] = "learn who {user} is"

    user: str

    def compile(self, program: Builder) -> None:
        size = account_size(program.most_groups)
        program.account = program.room(size)
        file = program.passed("account")
        program.call("pread64", file, program.account, size, 0, wanted=size)
        program.close(file)


@dataclass(frozen=True, kw_only=True, slots=True)
class BecomeUser(GuestStep):
    """Take the ids of a user of the guest's /etc/passwd, with the groups of its /etc/group, as learnt before.

    Capabilities stay until the exec, for `KeepCapabilities` still has to limit what a later setuid program may gain.
    """

    phrase: ClassVar[str] = "become user {user}"

    user: str
    group: str | None

    def __str__(self) -> str:
        # super() means the class as it was before it got slots.
        text = GuestStep.__str__(self)
        return text if self.group is None else f"{text}, group {self.group}"

    def compile(self, program: Builder) -> None:
        account = program.learnt_account()
        uid, gid, count = (Loaded(account.beyond(each)) for each in (UID_OFFSET, GID_OFFSET, COUNT_OFFSET))
        program.home = account.beyond(HOME_OFFSET)
        if program.terminals:
            # As login programs do, so that the user may open its own terminal again.
            program.call("fchown", 0, uid, _UNCHANGED)
        program.call("setgroups", count, account.beyond(GROUPS_OFFSET))
        program.call("setresgid", gid, gid, gid)
        program.prctl(Control.SET_KEEPCAPS, 1)
        program.call("setresuid", uid, uid, uid)
        _set_capabilities(program, program.every_capability())
        program.set_dumpable(False)


def _set_capabilities(program: Builder, mask: int) -> None:
    """Make these capabilities permitted and effective, and none inheritable: capset(2)."""
    header = program.constant(struct.pack("<Ii", CAPABILITY_VERSION, 0))
    low, high = mask & _LOW, mask >> 32
    sets = struct.pack("<6I", low, low, 0, high, high, 0)
    program.call("capset", header, program.constant(sets))


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFilters(GuestStep):
    """Load the system call filters of a policy, in order."""

    phrase: ClassVar[str] = "load the system call filters"

    seccomp: Seccomp

    def compile(self, program: Builder) -> None:
        for each in programs(self.seccomp):
            filter_ = program.words([len(each) // _INSTRUCTION_SIZE, program.constant(each)])
            program.prctl(_SET_SECCOMP, _MODE_FILTER, filter_)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeProfile(GuestStep):
    """Have what is executed confined by an AppArmor profile of the host's, and all that comes from it."""

    phrase: ClassVar[str] = "take the AppArmor profile {profile} at the exec"

    profile: str

    def compile(self, program: Builder) -> None:
        attribute = profile_at_exec(self.profile)
        means = {
            errno.ENOENT: "no such AppArmor profile is loaded on the host: load it (apparmor_parser -r FILE), or "
            "change the <seclabel>; those of insulad are loaded as it starts",
            errno.ENOSYS: "taking an AppArmor profile needs Linux 6.8: remove the <seclabel>",
        }
        program.call(
            "lsm_set_self_attr",
            AT_NEXT_EXEC,
            program.constant(attribute),
            len(attribute),
            0,
            means=means,
            about=self.profile,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeSockets(GuestStep):
    """Give up the abstract UNIX sockets of processes that do not come from this one, which belong to a network."""

    phrase: ClassVar[str] = "give up the abstract sockets of others"

    def compile(self, program: Builder) -> None:
        attributes = ruleset(LandlockScope.ABSTRACT_UNIX_SOCKET)
        made = program.call("landlock_create_ruleset", program.constant(attributes), len(attributes), 0)
        program.call("landlock_restrict_self", made, 0)
        program.close(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepCapabilities(GuestStep):
    """Give up all capabilities but these, for good."""

    phrase: ClassVar[str] = "keep the capabilities {names}, and none else"

    names: list[str]

    def compile(self, program: Builder) -> None:
        kept = mask_of(self.names) & program.every_capability()
        program.prctl(Control.CAP_AMBIENT, Ambient.CLEAR_ALL)
        for number in range(program.last_capability + 1):
            if not kept >> number & 1:
                program.prctl(Control.CAPBSET_DROP, number)
        # What would be inheritable would turn a file's inheritable capabilities into permitted ones, for any user (the
        # class of CVE-2022-24769).
        _set_capabilities(program, kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseNewPrivileges(GuestStep):
    """Let no exec grant privileges any more."""

    phrase: ClassVar[str] = "let no exec grant privileges any more"

    def compile(self, program: Builder) -> None:
        program.prctl(Control.SET_NO_NEW_PRIVS, 1)
