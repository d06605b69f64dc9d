"""Tests of insula.kernel.syscall."""

import ctypes
import errno
import os
from collections.abc import Callable
from enum import IntFlag
from pathlib import Path
from typing import Any, NewType

import pytest

from insula.kernel.syscall import libc, syscall

Mode = NewType("Mode", int)


class Access(IntFlag):
    READ = 4


class Names(ctypes.Structure):
    """struct utsname; only its first name is looked at."""

    _fields_ = (("system", ctypes.c_char * 65), ("rest", ctypes.c_char * 325))


@libc("umask")
def umask(mode: Mode) -> int:
    """Set the mask."""
    raise NotImplementedError


@libc("access")
def access(path: str, mode: Access) -> int:
    raise NotImplementedError


@libc("uname")
def uname(names: Names) -> int:
    raise NotImplementedError


@syscall(434)
def pidfd_open(pid: int, flags: int) -> int:
    raise NotImplementedError


@syscall(436, keep_interpreter=True)
def close_range(first: int, last: int, flags: int) -> int:
    raise NotImplementedError


@libc("rename")
def rename(source: str | None, target: str) -> None:
    raise NotImplementedError


def test_a_call_by_symbol_takes_and_returns_integers() -> None:
    former = umask(Mode(0o27))
    assert umask(Mode(former)) == 0o27


def test_a_call_by_number_reaches_the_kernel() -> None:
    fd = pidfd_open(os.getpid(), 0)
    assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[pidfd]"
    os.close(fd)


def test_a_call_that_keeps_the_interpreter_works_alike() -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    assert close_range(fd, fd, 0) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_structure_is_passed_by_reference_and_filled() -> None:
    names = Names()
    uname(names)
    assert names.system == b"Linux"


def test_an_error_has_errno_name_and_path(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as caught:
        access(missing, Access.READ)
    assert (caught.value.errno, caught.value.strerror) == (errno.ENOENT, "access: No such file or directory")
    assert caught.value.filename == missing


def test_an_error_calls_a_call_as_the_kernel_does_whatever_its_name_here(tmp_path: Path) -> None:
    @libc("access")
    def _access(path: str, mode: int) -> None:
        raise NotImplementedError

    with pytest.raises(FileNotFoundError, match="] access: No such"):
        _access(str(tmp_path / "missing"), 4)


def test_an_error_without_a_path_has_none() -> None:
    with pytest.raises(ProcessLookupError) as caught:
        pidfd_open(2**22 + 1, 0)
    assert caught.value.filename is None


def test_the_first_path_that_is_given_is_the_one_in_the_error() -> None:
    with pytest.raises(OSError, match="Bad address") as caught:
        rename(None, "/target")
    assert caught.value.filename == "/target"


def test_paths_that_are_no_text_pass_unharmed(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(name).touch()
    assert access(name, Access.READ) == 0


def test_documentation_and_name_stay() -> None:
    assert (umask.__name__, umask.__doc__) == ("umask", "Set the mask.")


def test_what_no_register_can_hold_is_refused_at_the_declaration() -> None:
    def unheard(values: list[int]) -> None:
        raise NotImplementedError

    declare: Callable[[Any], Any] = libc("umask")
    with pytest.raises(TypeError, match="cannot take"):
        declare(unheard)
