import errno
import os
import struct

import pytest

from insula.kernel.seccomp import Condition, Filter, Rule, chained, compile_filter, system_call_number

NATIVE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[os.uname().machine]
COMPANION = {"x86_64": 0x40000003, "aarch64": 0x40000028}[os.uname().machine]
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def answer(program: bytes, number: int, *arguments: int, architecture: int = NATIVE) -> int | None:
    """Run a filter as the kernel would: the errno a call gets, or None if it may pass."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *arguments, *(0,) * (6 - len(arguments)))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, position * 8)
        position += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x05:
                position += value
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x25:
                position += if_true if accumulator > value else if_false
            case 0x35:
                position += if_true if accumulator >= value else if_false
            case 0x06:
                assert value == ALLOW or value & 0xFFFF0000 == ERRNO
                return None if value == ALLOW else value & 0xFFFF
            case _:
                raise AssertionError(f"unexpected instruction {code:#x}")


def call(program: bytes, name: str, *arguments: int) -> int | None:
    number = system_call_number(name)
    assert number is not None
    return answer(program, number, *arguments)


def test_an_allow_list_lets_its_calls_pass_and_no_other() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("read", "write")),), otherwise=errno.ENOSYS))
    assert call(program, "read") is None
    assert call(program, "mkdirat") == errno.ENOSYS
    assert answer(program, 9999) == errno.ENOSYS


def test_a_refusal_has_the_errno_it_was_given() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("mkdirat",), refusal=errno.EPERM),)))
    assert call(program, "mkdirat") == errno.EPERM
    assert call(program, "read") is None


def test_a_condition_is_about_the_low_half_of_an_argument_as_the_kernel_reads_it() -> None:
    rule = Rule(names=("ioctl",), refusal=errno.EPERM, conditions=(Condition(argument=1, value=0x5412),))
    program = compile_filter(Filter(rules=(rule,)))
    assert call(program, "ioctl", 0, 0x5412) == errno.EPERM
    assert call(program, "ioctl", 0, 0x5412 | 1 << 32) == errno.EPERM
    assert call(program, "ioctl", 0, 0x5401) is None


def test_every_condition_of_a_rule_must_hold() -> None:
    conditions = (Condition(argument=0, value=16), Condition(argument=2, value=9))
    program = compile_filter(Filter(rules=(Rule(names=("socket",), refusal=errno.EPERM, conditions=conditions),)))
    assert call(program, "socket", 16, 3, 9) == errno.EPERM
    assert call(program, "socket", 16, 3, 0) is None


def test_a_mask_picks_the_bits() -> None:
    condition = Condition(argument=0, value=0x10000000, mask=0x10000000)
    program = compile_filter(Filter(rules=(Rule(names=("unshare",), refusal=errno.EPERM, conditions=(condition,)),)))
    assert call(program, "unshare", 0x30000000) == errno.EPERM
    assert call(program, "unshare", 0x20000000) is None


def test_calls_newer_than_libseccomp_are_known_by_number() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("cachestat", "file_setattr")),), otherwise=errno.ENOSYS))
    assert (answer(program, 451), answer(program, 469), answer(program, 470)) == (None, None, errno.ENOSYS)


def test_a_strange_architecture_finds_no_calls() -> None:
    program = compile_filter(Filter(rules=()))
    assert answer(program, 0, architecture=0x12345678) == errno.ENOSYS


def test_32_bit_programs_have_the_same_calls_under_their_numbers() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("read",)),), otherwise=errno.ENOSYS))
    assert answer(program, 3, architecture=COMPANION) is None
    assert answer(program, 4, architecture=COMPANION) == errno.ENOSYS


def test_numbers_with_the_bit_of_x32_are_nobodys() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("read",)),), otherwise=errno.ENOSYS))
    number = system_call_number("read")
    assert number is not None
    assert answer(program, number | 0x40000000) == errno.ENOSYS


def test_a_rule_that_says_what_holds_anyway_is_no_error() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("uselib",), refusal=errno.ENOSYS),), otherwise=errno.ENOSYS))
    assert call(program, "read") == errno.ENOSYS


def test_a_name_of_no_call_is_refused() -> None:
    with pytest.raises(OSError, match="no such system call: 'reed'"):
        compile_filter(Filter(rules=(Rule(names=("reed",)),), otherwise=errno.ENOSYS))


def test_a_call_of_other_architectures_only_has_a_negative_number() -> None:
    assert system_call_number("rtas") is not None
    assert (system_call_number("rtas") or 0) < 0
    assert system_call_number("reed") is None


def test_a_chain_asks_each_program_in_turn() -> None:
    first = compile_filter(Filter(rules=(Rule(names=("mkdirat",), refusal=errno.EPERM),)))
    second = compile_filter(Filter(rules=(Rule(names=("unlinkat", "mkdirat"), refusal=errno.EACCES),)))
    third = compile_filter(Filter(rules=(Rule(names=("read", "unlinkat")),), otherwise=errno.ENOSYS))
    chain = chained([first, second, third])
    calls = ("mkdirat", "unlinkat", "read", "write")
    assert [call(chain, name) for name in calls] == [errno.EPERM, errno.EACCES, None, errno.ENOSYS]
    assert answer(chain, 0, architecture=0x12345678) == errno.ENOSYS


def test_a_chain_of_one_is_that_one() -> None:
    only = compile_filter(Filter(rules=(Rule(names=("read",)),), otherwise=errno.ENOSYS))
    assert chained([only]) == only
