import ctypes
import errno
import os

import pytest

from insula.kernel.callfilter import AUDIT_NUMBERS
from insula.kernel.callnumbers import ARCHITECTURES, IPC, SOCKETCALL, call_numbers, is_call, portable_call_numbers
from tests.seccompbinding import libseccomp

# In the machine too, whose libseccomp is newer and knows more calls.
pytestmark = pytest.mark.machine("seccomp")

HIGHEST = 600
ARMS_OWN = range(983041, 983047)
NEWER_THAN_SOME_LIBRARIES = 451
ELSEWHERE = {"riscv_hwprobe", "uprobe", "uretprobe"}


def known_to_libseccomp(architecture: str) -> dict[str, int]:
    number_there = int(getattr(libseccomp.Arch, {"i386": "X86"}.get(architecture, architecture.upper())))
    found = {}
    for number in (*range(HIGHEST), *ARMS_OWN):
        try:
            found[libseccomp.resolve_syscall(number_there, number).decode()] = number
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tables_are_libseccomps(architecture: str) -> None:
    ours, theirs = call_numbers(architecture), known_to_libseccomp(architecture)
    assert {name: number for name, number in theirs.items() if ours.get(name) != number} == {}
    beyond = {name: number for name, number in ours.items() if name not in theirs}
    assert {name for name, number in beyond.items() if number < NEWER_THAN_SOME_LIBRARIES} <= ELSEWHERE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_number_has_two_names(architecture: str) -> None:
    numbers = list(call_numbers(architecture).values())
    assert len(set(numbers)) == len(numbers)


def test_numbers_newer_than_the_split_are_the_same_everywhere() -> None:
    assert {call_numbers(each)["clone3"] for each in ARCHITECTURES} == {435}
    assert {call_numbers(each)["file_setattr"] for each in ARCHITECTURES} == {469}
    assert {call_numbers(each)["process_mrelease"] for each in ARCHITECTURES} == {448}


def test_the_default_is_this_machine() -> None:
    assert call_numbers() == call_numbers(os.uname().machine)
    assert call_numbers("x86_64")["getpid"] == 39
    assert call_numbers("aarch64")["getpid"] == 172


def test_portable_calls_are_those_that_either_kind_of_machine_has() -> None:
    for machine in ("x86_64", "aarch64", "riscv64"):
        portable, numbers = portable_call_numbers(machine), call_numbers(machine)
        assert {"openat", "dup3", "clone3", "prctl"} <= portable.keys()
        assert not {"open", "dup2", "fork", "newselect", "renameat"} & portable.keys()
        assert portable.items() <= numbers.items()


def test_parts_of_other_calls_are_calls() -> None:
    assert all(is_call(name) for name in (*SOCKETCALL, *IPC, "socketcall", "ipc", "rtas", "breakpoint", "read"))
    assert not is_call("reed")


def test_parts_are_numbered_as_libseccomp_does() -> None:
    library = ctypes.CDLL("libseccomp.so.2")  # bindings tell the call that they are parts of, or these

    def pseudo(name: str) -> int:
        return int(library.seccomp_syscall_resolve_name_arch(AUDIT_NUMBERS["i386"], name.encode()))

    assert {name: -pseudo(name) - 100 for name in SOCKETCALL} == SOCKETCALL
    assert {name: -pseudo(name) - 200 for name in IPC} == IPC


def test_a_machine_without_a_table_is_told_apart() -> None:
    with pytest.raises(OSError, match="guests run on x86_64") as raised:
        call_numbers("m68k")
    assert raised.value.errno == errno.ENOSYS
