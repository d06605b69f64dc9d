"""Steps that take away what the guest shall not have."""

import os
import resource
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.accounts import find_account
from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel import privileges, seccomp
from insula.kernel.fds import contents
from insula.kernel.process import join_fresh_keyring, set_dumpable


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

    def perform(self, context: ChildContext) -> None:
        kind = getattr(resource, f"RLIMIT_{self.name}")
        wanted = tuple(resource.RLIM_INFINITY if each is None else each for each in (self.soft, self.hard))
        try:
            resource.setrlimit(kind, (wanted[0], wanted[1]))
        except ValueError as error:
            # The module says ValueError where the kernel says EPERM or EINVAL.
            held = resource.getrlimit(kind)[1]
            text = f"the hard limit is {held} here and cannot be raised without CAP_SYS_RESOURCE ({error})"
            raise PermissionError(1, text, self.name) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinFreshKeyring(GuestStep):
    """Leave the host's session keyring behind."""

    phrase: ClassVar[str] = "join a session keyring of its own"

    def perform(self, context: ChildContext) -> None:
        join_fresh_keyring()


@dataclass(frozen=True, kw_only=True, slots=True)
class BecomeUser(GuestStep):
    """Take the ids of a user of the guest's /etc/passwd, with the groups of its /etc/group.

    Capabilities stay until the exec, for `KeepCapabilities` still has to limit what a later setuid program may gain.
    """

    phrase: ClassVar[str] = "become user {user}"

    user: str
    group: str | None

    def __str__(self) -> str:
        # super() means the class as it was before it got slots.
        text = GuestStep.__str__(self)
        return text if self.group is None else f"{text}, group {self.group}"

    def perform(self, context: ChildContext) -> None:
        account = find_account(self.user, self.group)
        context.home = account.home
        if context.terminals:
            # As login programs do, so that the user may open its own terminal again.
            os.fchown(0, account.uid, -1)
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        privileges.keep_over_setuid(True)
        os.setresuid(account.uid, account.uid, account.uid)
        privileges.use_what_is_permitted()
        set_dumpable(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFilters(GuestStep):
    """Load system call filters, in order. sources: names of fds of compiled programs."""

    phrase: ClassVar[str] = "load the system call filters {sources}"

    sources: list[str]

    def perform(self, context: ChildContext) -> None:
        for source in self.sources:
            seccomp.load(contents(context.fds[source]))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepCapabilities(GuestStep):
    """Give up all capabilities but these, for good."""

    phrase: ClassVar[str] = "keep the capabilities {names}, and none else"

    names: list[str]

    def perform(self, context: ChildContext) -> None:
        privileges.keep_only(self.names)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefuseNewPrivileges(GuestStep):
    """Let no exec grant privileges any more."""

    phrase: ClassVar[str] = "let no exec grant privileges any more"

    def perform(self, context: ChildContext) -> None:
        privileges.set_no_new_privileges()
