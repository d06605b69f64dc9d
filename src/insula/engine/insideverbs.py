"""The verbs of a `Container` for programs and functions inside it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, overload

from insula.engine.containerlife import ContainerLife
from insula.engine.enter.callinside import call_inside
from insula.engine.enter.guestprocess import DEVNULL, PIPE, GuestProcess, StandardStreams, Stream, TextForm
from insula.engine.spec import Process, command_words
from insula.errors import OperationTimeoutError

Wishes = tuple[Stream, Stream, Stream]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramRun:
    """A program that runs to its end: what it is given, and what is made of what it says."""

    argv: tuple[str, ...]
    data: bytes | None
    form: TextForm | None

    @classmethod
    def of(cls, argv: Sequence[str], data: str | bytes | None, form: TextForm | None) -> Self:
        """Raises: TypeError for a command or an input of the wrong kind."""
        return cls(argv=command_words(argv), data=_as_bytes(data, form), form=form)

    @property
    def wishes(self) -> Wishes:
        """The streams it is to have."""
        return (DEVNULL if self.data is None else PIPE, PIPE, PIPE)

    def outcome(
        self, process: GuestProcess[bytes], timeout: float | None, *, check: bool
    ) -> "subprocess.CompletedProcess[Any]":
        """Wait for its end. Raises: as `InsideVerbs.run`."""
        with process:
            try:
                said = process.communicate(self.data, timeout)
            except OperationTimeoutError:
                process.kill()
                raise
        output, complaints = said if self.form is None else map(self.form.decoded, said)
        result = subprocess.CompletedProcess(list(self.argv), process.wait(), output, complaints)
        if check:
            result.check_returncode()
        return result


class InsideVerbs:
    """Programs run inside, confined as the guest's init is."""

    _life: ContainerLife

    @overload
    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        text: Literal[False] = False,
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[bytes]": ...
    @overload
    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        text: Literal[True],
        encoding: str = "utf-8",
        errors: str = "strict",
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[str]": ...
    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002 - subprocess.run's own name for it
        text: bool = False,
        encoding: str = "utf-8",
        errors: str = "strict",
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[Any]":
        """Run a program inside to its end, and return its exit status, output and errors, as `subprocess.run` does.

        text: its input, output and errors are texts, not bytes. user: a name or number of the guest's; root by default.

            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     done = guest.run(["sh", "-c", "tr a-z A-Z; exit 4"], input="hello", text=True, user="nobody")
            >>> done.returncode, done.stdout
            (4, 'HELLO')

        Raises: subprocess.CalledProcessError if check and it fails; OperationTimeoutError, and it is killed; StepError
        if it cannot be executed; TypeError for an input of the other kind.
        """
        job = ProgramRun.of(argv, input, TextForm(encoding, errors) if text else None)
        process = self.begin(job.argv, job.wishes, env=env, cwd=cwd, user=user)
        return job.outcome(process, timeout, check=check)

    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        terminal: tuple[int, int] | None = None,
        text: Literal[False] = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> GuestProcess[bytes]: ...
    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        terminal: tuple[int, int] | None = None,
        text: Literal[True],
        encoding: str = "utf-8",
        errors: str = "strict",
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> GuestProcess[str]: ...
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        terminal: tuple[int, int] | None = None,
        text: bool = False,
        encoding: str = "utf-8",
        errors: str = "strict",
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> GuestProcess[Any]:
        """Start a program inside and return its handle, as `subprocess.Popen` does.

        terminal: rows and columns of a terminal inside, in the place of the three streams. text: our ends of its pipes
        are for texts.

            >>> from subprocess import PIPE
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     with guest.popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as cat:
            ...         _ = cat.stdin.write("a line\\n")
            ...         cat.stdout.readline()
            ...         cat.stdin.close()
            'a line\\n'

        """
        return self.begin(
            command_words(argv),
            (stdin, stdout, stderr),
            terminal=terminal,
            form=TextForm(encoding, errors) if text else None,
            env=env,
            cwd=cwd,
            user=user,
        )

    def begin(
        self,
        words: tuple[str, ...],
        wishes: Wishes,
        *,
        env: Mapping[str, str] | None,
        cwd: str,
        user: str | None,
        terminal: tuple[int, int] | None = None,
        form: TextForm | None = None,
    ) -> GuestProcess[Any]:
        """Start a program: what `run` and `popen` have in common. form: that of its streams at our end."""
        process = Process(argv=words, env=tuple((env or {}).items()), cwd=cwd, user=user)
        running, engine = self._life.alive(), self._life.engine()
        if terminal is not None:
            executed = engine.do(engine.launcher.entrance.execute(running, process, terminal=terminal))
            return GuestProcess(executed, StandardStreams.of_terminal(executed.master), self._life.end_of_process, form)
        streams = StandardStreams(*wishes)
        try:
            executed = engine.do(engine.launcher.entrance.execute(running, process, stdio=streams.theirs))
        except BaseException:
            streams.give_up()
            raise
        streams.hand_over()
        return GuestProcess(executed, streams, self._life.end_of_process, form)

    def enter(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Perform function(*arguments) inside, in a fork of this program, and return its JSON-able result.

        Import what it needs before: imports inside would find the guest's files. See `insula.engine.enter.callinside`.

            >>> import os
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     "passwd" in guest.enter(os.listdir, "/etc")
            True
        """
        return call_inside(self._life.alive(), function, arguments)

    def output(self) -> list[bytes]:
        """Return what each console said since the last time it was asked, the latest 64 KiB."""
        self._life.alive()
        return self._life.engine().said(self._life.spec.uuid)


def _as_bytes(data: str | bytes | None, form: TextForm | None) -> bytes | None:
    """Return what a program is given as its input. Raises: TypeError for bytes where a text is due, and vice versa."""
    if isinstance(data, str) and form is not None:
        return data.encode(*form)
    if isinstance(data, str) or (data is not None and form is not None):
        raise TypeError("the input is a text with text=True, else bytes")
    return data
