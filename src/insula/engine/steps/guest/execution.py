"""The last steps: leave nothing of ours behind, and become the guest's program."""

import errno
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.passednumbers import CHANNEL_FD, FIRST_PASSED_FD
from insula.engine.program.assembly import Label, Place, Pointer, Result
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.beneath import CONTAINED
from insula.kernel.fds import AT_FDCWD, LAST_FD
from insula.kernel.mounts import AT_SYMLINK_NOFOLLOW

_NEXT_PLACE = (errno.EACCES, errno.ENOTDIR)
"""Errors after which the search in PATH goes on. Source: exec(3)."""
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that a keeper ignores or handles (`keeper.main`); an exec would hand on what is ignored."""
_ACTION_SIZE = 32
_SIGNALS_SIZE = 8
"""Of struct sigaction and sigset_t, as the kernel has them. Source: rt_sigaction(2)."""
_STATUS_SIZE = 256
"""Room for struct stat on all machines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassDescriptors(GuestStep):
    """Give the program the fds named `inherited0` and so on, from 3 on, and close all others here and now.

    At the exec it would be too late: from here on, names are looked up that the guest chose, and they may lead through
    /proc/self/fd. The masters of the terminals go to the keeper. Only the channel is left besides, at a number behind
    those that may be passed; it closes when the program is executed. The keeper keeps the numbers up to LAST_PASSED_FD
    occupied, so nothing of ours is ever overwritten.
    """

    phrase: ClassVar[str] = "pass {count} fd(s), and close all others"

    count: int

    def compile(self, program: Builder) -> None:
        if program.terminals:
            masters = {f"console{number}": fd for number, fd in enumerate(program.terminals)}
            program.say({"consoles": len(masters)}, masters)
        for number in range(self.count):
            program.put_at(program.passed(f"inherited{number}"), FIRST_PASSED_FD + number)
        program.keep_open(CHANNEL_FD)
        first_free = FIRST_PASSED_FD + self.count
        if first_free < CHANNEL_FD:
            program.call("close_range", first_free, CHANNEL_FD - 1, 0)
        program.call("close_range", CHANNEL_FD + 1, LAST_FD, 0)
        program.root = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish(GuestStep):
    """Say that all before is done, and end: nothing is executed."""

    phrase: ClassVar[str] = "end, with all done"

    def compile(self, program: Builder) -> None:
        program.say({"performed": True})
        program.call("exit_group", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterDirectory(GuestStep):
    """Go where the program shall begin. No link leads through a descriptor of ours, nor anywhere out of the root.

    else_root: the root directory is good enough if path cannot be entered.
    """

    phrase: ClassVar[str] = "go to {path}"

    path: str
    else_root: bool = False

    def compile(self, program: Builder) -> None:
        flags = os.O_PATH | os.O_DIRECTORY
        root = program.open("/", flags)
        if self.else_root:
            program.call("fchdir", root, about="/")
            # What could not be opened is no descriptor, and stays without effect.
            directory = program.open_beneath(root, self.path, flags, resolve=CONTAINED, whatever=True)
            program.call("fchdir", directory, whatever=True)
            program.call("close", directory, whatever=True)
        else:
            directory = program.open_beneath(root, self.path, flags, resolve=CONTAINED, means="{error}")
            program.call("fchdir", directory, means="{error}", about=self.path)
            program.close(directory)
        program.close(root)


@dataclass(frozen=True, kw_only=True, slots=True)
class Execute(GuestStep):
    """Become the program, with default signals and exactly this environment.

    env: pairs of name and value; home: add the HOME of the user it became, unless env has one. It takes no descriptor:
    the program's limit may be in force.
    """

    phrase: ClassVar[str] = "execute {argv}"

    argv: list[str]
    env: list[list[str]]
    home: bool = False

    def compile(self, program: Builder) -> None:
        program.say({"executing": True, "hold": program.hold})
        if program.hold:
            program.wait_for_word()
        program.call("umask", 0o022)
        default = program.constant(bytes(_ACTION_SIZE))
        for number in _IGNORED:
            program.call("rt_sigaction", int(number), default, 0, _SIGNALS_SIZE)
        program.call("rt_sigprocmask", signal.SIG_SETMASK, program.constant(bytes(_SIGNALS_SIZE)), 0, _SIGNALS_SIZE)
        self._exec(program, dict(self.env))

    def _exec(self, program: Builder, environment: dict[str, str]) -> None:
        """Try each place the program may be; fail at the one that tells most."""
        argv = program.words([*(program.text(each) for each in self.argv), 0])
        variables: list[Place | int] = [program.text(value, before=f"{name}=") for name, value in environment.items()]
        if self.home and "HOME" not in environment:
            variables.append(program.text("HOME=/") if program.home is None else program.home)
        search = _Search(program=program, argv=argv, environment=program.words([*variables, 0]))
        name = self.argv[0]
        if "/" in name or not name:
            search.only(name)
        else:
            search.each([f"{each}/{name}" for each in environment.get("PATH", "").split(":") if each], name)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Search:
    """The places where a program may be, as records."""

    program: Builder
    argv: Pointer
    environment: Pointer

    def only(self, path: str) -> None:
        missing = Label()
        self._execute(path, unless=(errno.ENOENT, missing))
        self.program.here(missing)
        self._fail_if_there(path)
        self._not_found("no such program in the guest", path)

    def each(self, paths: list[str], name: str) -> None:
        program = self.program
        refused = program.room(4)
        """Which place has refused us last, counted from 1."""
        for number, path in enumerate(paths, 1):
            following = Label()
            result = program.result_of(self._execute(path, whatever=True))
            with program.if_equal(result, -errno.ENOENT):
                self._fail_if_there(path)
                program.skip(following)
            for code in _NEXT_PLACE if len(paths) > 1 else ():
                with program.if_equal(result, -code):
                    program.store(refused, number)
                    program.skip(following)
            # It fails in the same way, and so says how.
            self._execute(path)
            program.here(following)
        for number, path in enumerate(paths, 1):
            with program.if_equal(refused, number):
                self._execute(path)
        self._not_found("not found in the guest's PATH", name)

    def _execute(self, path: str, *, whatever: bool = False, unless: tuple[int, Label] | None = None) -> Result:
        arguments = (self.program.text(path), self.argv, self.environment)
        means = "cannot execute: {error}"
        return self.program.call("execve", *arguments, means=means, about=path, whatever=whatever, unless=unless)

    def _fail_if_there(self, path: str) -> None:
        """Fail if there is anything of that name: it is not what is missing."""
        program = self.program
        missing, name, status = Label(), program.text(path), program.room(_STATUS_SIZE)
        itself = program.call("newfstatat", AT_FDCWD, name, status, AT_SYMLINK_NOFOLLOW, whatever=True)
        program.skip_unless(program.result_of(itself), 0, missing)
        means = {errno.ENOENT: "cannot execute: it is a link to nowhere"}
        program.call("newfstatat", AT_FDCWD, name, status, 0, means=means, about=path)
        self._not_found("cannot execute: its interpreter or loader is missing", path)
        program.here(missing)

    def _not_found(self, text: str, path: str) -> None:
        """Fail with ENOENT."""
        self.program.fail(errno.ENOENT, text, about=path)
