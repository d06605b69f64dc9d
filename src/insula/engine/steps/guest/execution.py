"""The last steps: leave nothing of ours behind, and become the guest's program."""

import errno
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel.fds import LAST_FD, NO_FD, CloseRange, close_range, keep_only

FIRST_PASSED_FD = 3
"""Where passed fds begin. Source: sd_listen_fds(3)."""
PASSED_FDS_MAX = 64
LAST_PASSED_FD = FIRST_PASSED_FD + PASSED_FDS_MAX - 1
IGNORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""What the keeper ignores; an exec would hand that on."""


_NEXT_PLACE = (errno.EACCES, errno.ENOTDIR)
"""Errors after which the search in PATH goes on. Source: exec(3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassDescriptors(GuestStep):
    """Give the program the fds named `inherited0` and so on, from 3 on, and close all others here and now.

    At the exec it would be too late: from here on, names are looked up that the guest chose, and they may lead through
    /proc/self/fd. needed: names of fds that later steps read; they, the terminals' masters and the channel close when
    the program is executed. The keeper keeps the numbers up to LAST_PASSED_FD occupied, so nothing of ours is ever
    overwritten.
    """

    phrase: ClassVar[str] = "pass {count} fd(s), and close all others"

    count: int
    needed: list[str]

    def perform(self, context: ChildContext) -> None:
        close_range(FIRST_PASSED_FD, LAST_FD, CloseRange.CLOEXEC)
        passed = range(FIRST_PASSED_FD, FIRST_PASSED_FD + self.count)
        for number, target in enumerate(passed):
            os.dup2(context.fds[f"inherited{number}"], target, inheritable=True)
        context.fds = {name: context.fds[name] for name in self.needed}
        keep_only((context.channel, *context.terminals, *context.fds.values(), *passed))
        context.root = NO_FD


@dataclass(frozen=True, kw_only=True, slots=True)
class Execute(GuestStep):
    """Become the program, with default signals and exactly this environment.

    env: pairs of name and value; home: add the HOME of the user it became, unless env has one.
    """

    phrase: ClassVar[str] = "execute {argv}"

    argv: list[str]
    env: list[list[str]]
    cwd: str
    home: bool = False

    def perform(self, context: ChildContext) -> None:
        self._enter_directory()
        os.umask(0o022)
        for number in IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        environment = dict(self.env)
        if self.home:
            environment.setdefault("HOME", context.home)
        raise self._exec(environment)

    def _enter_directory(self) -> None:
        try:
            os.chdir(self.cwd)
            # Fails for what lies outside of our root, however the name has led there.
            os.getcwd()
        except OSError as error:
            text = f"cannot be the working directory: {error.strerror}"
            raise OSError(error.errno, text, self.cwd) from error

    def _exec(self, environment: dict[str, str]) -> OSError:
        """Try each place the program may be; return what went wrong with the most telling one."""
        program = self.argv[0]
        places = (
            [program] if "/" in program else [f"{d}/{program}" for d in environment.get("PATH", "").split(":") if d]
        )
        error = OSError(errno.ENOENT, "not found in the guest's PATH", program)
        for path in places:
            try:
                os.execve(path, self.argv, environment)
            except OSError as refused:
                if refused.errno in _NEXT_PLACE and len(places) > 1:
                    error = OSError(refused.errno, f"cannot execute: {refused.strerror}", path)
                    continue
                if refused.errno != errno.ENOENT:
                    return OSError(refused.errno, f"cannot execute: {refused.strerror}", path)
                if os.path.lexists(path):
                    text = (
                        "it is a link to nowhere"
                        if not os.path.exists(path)
                        else "its interpreter or loader is missing"
                    )
                    return OSError(errno.ENOENT, f"cannot execute: {text}", path)
                if "/" in program:
                    error = OSError(errno.ENOENT, "no such program in the guest", path)
        return error
