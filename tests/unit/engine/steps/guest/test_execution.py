"""Tests of insula.engine.steps.guest.execution."""

import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from insula.engine.accounts import HOME_OFFSET
from insula.engine.keeper.main import IGNORED_SIGNALS
from insula.engine.passednumbers import FIRST_PASSED_FD
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.confinement import LearnAccount
from insula.engine.steps.guest.execution import EnterDirectory, Execute, PassDescriptors
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.fds import memory_file
from tests.unit.engine.steps.guest.performing import Us, account, guest, perform
from tests.unit.engine.steps.inchild import in_child

TELL = "import json, os, signal; print(json.dumps({0}))"
"""A program that tells something about itself."""


def execute(argv: list[str], env: list[list[str]] | None = None, *, home: bool = False) -> Execute:
    return Execute(why="test", argv=argv, env=[] if env is None else env, home=home)


def enter(path: Path | str, *, else_root: bool = False) -> EnterDirectory:
    return EnterDirectory(why="test", path=str(path), else_root=else_root)


def said(work: Callable[[], None]) -> bytes:
    """Return what a child that becomes another program says on its standard output."""
    reader, writer = os.pipe()

    def become() -> None:
        os.dup2(writer, 1)
        work()

    # The program ends without a report: it has replaced the child.
    with contextlib.suppress(AssertionError):
        in_child(become)
    os.close(writer)
    with open(reader, "rb") as pipe:
        return pipe.read()


class _RememberHome(GuestStep):
    """What BecomeUser does besides, for which no rights are needed."""

    phrase: ClassVar[str] = "remember the home"

    def compile(self, program: Builder) -> None:
        program.home = program.learnt_account().beyond(HOME_OFFSET)


def told(
    what: str,
    prepare: Callable[[], None] = lambda: None,
    us: Us | None = None,
    before: Sequence[GuestStep] = (),
    **how: Any,
) -> Any:
    """Return what a program that was executed says of itself."""

    def work() -> None:
        prepare()
        perform(guest() if us is None else us, *before, execute([sys.executable, "-I", "-c", TELL.format(what)], **how))

    return json.loads(said(work))


@pytest.mark.parametrize(
    ("home", "given", "expected"),
    [
        (False, {}, None),
        (True, {}, "/home/alice"),
        (True, {"HOME": "/elsewhere"}, "/elsewhere"),
        (False, {"HOME": "/elsewhere"}, "/elsewhere"),
    ],
)
def test_the_environment_is_what_was_given_and_home_where_wished(
    home: bool, given: dict[str, str], expected: str | None
) -> None:
    us = guest(account=account(os.getuid(), os.getgid(), [], "/home/alice"))
    env = [[name, value] for name, value in {"A": "1", "B": "", **given}.items()]
    wanted = {"A": "1", "B": ""} | ({} if expected is None else {"HOME": expected})
    steps = (LearnAccount(why="test", user="alice"), _RememberHome(why="test"))
    environment = told("dict(os.environ)", us=us, before=steps, env=env, home=home)
    # The interpreter adds this one itself where there is no locale.
    environment.pop("LC_CTYPE", None)
    assert environment == wanted


def test_the_program_begins_with_default_signals_and_an_ordinary_mask(tmp_path: Path) -> None:
    def ignore() -> None:
        for number in IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        os.umask(0o777)

    status = "dict(line.split(':', 1) for line in open('/proc/self/status'))"
    found = told(status, ignore, before=[enter(tmp_path)])
    ignored = int(found["SigIgn"], 16)
    # The interpreter itself ignores two of them again.
    for number in set(IGNORED_SIGNALS) - {signal.SIGPIPE, signal.SIGXFSZ}:
        assert not ignored >> (number - 1) & 1
    assert int(found["SigBlk"], 16) == 0
    assert found["Umask"].strip() == "0022"


def test_the_program_begins_where_it_is_told_to(tmp_path: Path) -> None:
    assert told("os.getcwd()", before=[enter(tmp_path)]) == str(tmp_path)


def test_a_home_that_cannot_be_entered_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, found in (("", str(tmp_path)), ("missing", "/"), ("file", "/")):
        assert told("os.getcwd()", before=[enter(tmp_path / name, else_root=True)]) == found
    open_ones = "os.listdir('/proc/self/fd')"
    assert told(open_ones, before=[enter("/nowhere", else_root=True)]) == told(open_ones)


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        in_child(lambda: perform(guest(), enter(missing)))
    assert caught.value.filename == missing


def program(path: Path, content: str, mode: int = 0o755) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_program_without_a_slash_is_the_first_in_the_guests_path(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        program(directory / "tell", f"#!/bin/sh\necho {directory.name} $0 $1\n")
    path = f"::{tmp_path}/none:{second}:{first}"
    words = said(lambda: perform(guest(), execute(["tell", "x"], [["PATH", path]]))).decode().split()
    assert words == ["second", f"{second}/tell", "x"]


@pytest.mark.parametrize("path", ["", "/nowhere", "::"])
def test_the_working_directory_is_no_part_of_the_path(tmp_path: Path, path: str) -> None:
    program(tmp_path / "tell", "#!/bin/sh\n")
    with pytest.raises(FileNotFoundError, match="not found in the guest's PATH") as caught:
        in_child(lambda: perform(guest(), enter(tmp_path), execute(["tell"], [["PATH", path]])))
    assert caught.value.filename == "tell"


def test_a_program_without_a_name_is_not_looked_for_in_the_path() -> None:
    with pytest.raises(FileNotFoundError, match="no such program in the guest"):
        in_child(lambda: perform(guest(), execute([""], [["PATH", "/bin"]])))


def test_without_a_path_no_program_is_found_by_name() -> None:
    with pytest.raises(FileNotFoundError, match="not found in the guest's PATH"):
        in_child(lambda: perform(guest(), execute(["sh"])))


@pytest.mark.parametrize(
    ("make", "number", "reason"),
    [
        (lambda path: None, errno.ENOENT, "no such program in the guest"),
        (lambda path: path.symlink_to("/nowhere/at/all"), errno.ENOENT, "it is a link to nowhere"),
        (lambda path: program(path, "#!/no/such/interpreter\n"), errno.ENOENT, "its interpreter or loader is missing"),
        (lambda path: program(path, "#!/bin/sh\n", 0o644), errno.EACCES, "cannot execute: Permission denied"),
        (lambda path: path.mkdir(), errno.EACCES, "cannot execute: Permission denied"),
        (lambda path: program(path, "text"), errno.ENOEXEC, "cannot execute: Exec format error"),
        (lambda path: path.symlink_to(path.name), errno.ELOOP, "cannot execute: Too many levels of symbolic links"),
    ],
    ids=["missing", "dangling", "interpreter", "mode", "directory", "text", "loop"],
)
def test_what_cannot_be_executed_is_named_with_the_reason(
    tmp_path: Path, make: Callable[[Path], object], number: int, reason: str
) -> None:
    path = tmp_path / "init"
    make(path)
    with pytest.raises(OSError, match=reason) as caught:
        in_child(lambda: perform(guest(), execute([str(path)])))
    assert (caught.value.errno, caught.value.filename) == (number, str(path))


def test_a_directory_of_the_path_that_is_no_directory_does_not_end_the_search_unnoticed(tmp_path: Path) -> None:
    blocked = program(tmp_path / "file", "")
    with pytest.raises(NotADirectoryError, match="cannot execute"):
        in_child(lambda: perform(guest(), execute(["tell"], [["PATH", f"{blocked}:{tmp_path}"]])))


def test_the_search_goes_on_past_what_cannot_be_executed(tmp_path: Path) -> None:
    blocked = program(tmp_path / "file", "")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "first/tell").touch(0o600)
    program(tmp_path / "second/tell", "#!/bin/sh\necho told\n")
    path = f"{blocked}:{tmp_path}/first:{tmp_path}/second"
    assert said(lambda: perform(guest(), execute(["tell"], [["PATH", path]]))) == b"told\n"


def test_fds_are_passed_in_their_order_and_all_others_close() -> None:
    files = {f"inherited{number}": memory_file(f"m{number}", b"content %d" % number) for number in range(3)}
    # Numbers from 3 to 5 are nothing of ours in a keeper; here they may be pytest's.
    us = guest(**files, other=memory_file("other", b""))
    listing = "{n: os.read(int(n), 99).decode() for n in os.listdir('/proc/self/fd') if 2 < int(n) < 6}, "
    found, inherited = told(
        f"[{listing}[n for n in os.listdir('/proc/self/fd')]]", us=us, before=[PassDescriptors(why="test", count=3)]
    )
    assert found == {str(FIRST_PASSED_FD + number): f"content {number}" for number in range(3)}
    # One more is the listing's own.
    assert len(inherited) == 3 + 3 + 1
    for fd in us.fds.values():
        os.close(fd)


@pytest.mark.parametrize("high", [False, True])
def test_without_fds_to_pass_only_the_standard_ones_are_left(high: bool) -> None:
    extra = os.dup2(0, 150 if high else 20, inheritable=True)
    found = told("os.listdir('/proc/self/fd')", before=[PassDescriptors(why="test", count=0)])
    assert {int(number) for number in found} - {3} == {0, 1, 2}
    os.close(extra)


def test_a_program_is_executed_with_the_name_it_was_asked_for_by(tmp_path: Path) -> None:
    (tmp_path / "init").symlink_to("/bin/sh")
    assert said(lambda: perform(guest(), execute([str(tmp_path / "init"), "-c", "echo $0"]))) == (
        f"{tmp_path}/init\n".encode()
    )
