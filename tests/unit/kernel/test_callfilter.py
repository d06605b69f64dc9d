import errno
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.callfilter import COMPANIONS, Condition, Filter, Rule, Unlisted, compile_filter
from insula.kernel.callnumbers import ARCHITECTURES, IPC, SOCKETCALL, call_numbers
from tests.callfilters import COMPANION, NATIVE, STRANGE, Oracle, answer, ask, holds

MACHINES = [each for each in ARCHITECTURES if each not in COMPANIONS.values()]
CALLS = ("read", "write", "mkdirat", "ioctl", "socket", "socketpair", "setsockopt", "semop", "futex_waitv", "uprobe")
WORDS = st.one_of(st.integers(0, 70), st.integers(0, 2**64 - 1))
MASKS = st.sampled_from([0xF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFF7])
ARGUMENTS = st.integers(0, 5)
CONDITIONS = st.builds(Condition, argument=ARGUMENTS, value=st.integers(0, 15), mask=MASKS)
LISTS = st.builds(
    Unlisted, argument=ARGUMENTS, values=st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple), mask=MASKS
)
REFUSALS = st.none() | st.integers(1, 100)
RULES = st.builds(
    Rule,
    names=st.lists(st.sampled_from(CALLS), min_size=1, max_size=3, unique=True).map(tuple),
    refusal=REFUSALS,
    conditions=st.lists(CONDITIONS | LISTS, max_size=3).map(tuple),
)
FILTERS = st.builds(Filter, rules=st.lists(RULES, max_size=12).map(tuple), otherwise=REFUSALS)


def architectures_of(machine: str) -> list[str]:
    return [machine, *([COMPANIONS[machine]] if machine in COMPANIONS else [])]


def part_of(whole: str, first: int) -> str | None:
    """What a call that is several calls is, by its first argument."""
    parts = {"socketcall": SOCKETCALL, "ipc": IPC}.get(whole, {})
    index = first & (0xFFFF if whole == "ipc" else 0xFFFFFFFF)
    return {index: name for name, index in parts.items()}.get(index)


def expected(wanted: Filter, name: str, arguments: Sequence[int]) -> int | None:
    """What the first rule says that names the call and holds."""
    for rule in wanted.rules:
        as_part = not rule.conditions and part_of(name, arguments[0]) in rule.names
        if as_part or (name in rule.names and all(holds(each, arguments) for each in rule.conditions)):
            return rule.refusal
    return wanted.otherwise


@given(
    wanted=FILTERS,
    machine=st.sampled_from(MACHINES),
    companion=st.booleans(),
    name=st.sampled_from([*CALLS, "socketcall", "ipc", "getpid"]),
    arguments=st.lists(WORDS, min_size=6, max_size=6),
)
def test_the_first_rule_that_names_a_call_and_holds_decides(
    wanted: Filter, machine: str, companion: bool, name: str, arguments: list[int]
) -> None:
    architecture = COMPANIONS.get(machine, machine) if companion else machine
    program = compile_filter(wanted, machine)
    number = call_numbers(architecture).get(name)
    if number is None:
        assert answer(program, 599, *arguments, architecture=architecture) == wanted.otherwise
    else:
        assert answer(program, number, *arguments, architecture=architecture) == expected(wanted, name, arguments)
    assert answer(program, number or 0, *arguments, architecture=STRANGE) == errno.ENOSYS


@given(
    machine=st.sampled_from(MACHINES),
    chosen=st.lists(st.tuples(st.integers(0, 470), REFUSALS), max_size=200),
    otherwise=REFUSALS,
)
def test_every_number_is_found_however_the_ranges_lie(
    machine: str, chosen: list[tuple[int, int | None]], otherwise: int | None
) -> None:
    for architecture in architectures_of(machine):
        names = {number: name for name, number in call_numbers(architecture).items()}
        rules = tuple(Rule(names=(names[at],), refusal=refusal) for at, refusal in chosen if at in names)
        wanted = Filter(rules=rules, otherwise=otherwise)
        program = compile_filter(wanted, machine)
        for number in (*range(500), 983041, 983047):
            name = names.get(number, "")
            asked = ask(program, number, (2**64 - 1,) * 6, architecture)
            assert asked.refusal == expected(wanted, name, (2**64 - 1,) * 6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_libseccomp_compiles_the_same(architecture: str) -> None:
    machine = next((native for native, other in COMPANIONS.items() if other == architecture), architecture)
    wanted = Filter(
        rules=(
            Rule(names=("mkdirat", "semop", "bind"), refusal=errno.EPERM),
            Rule(names=("ioctl",), refusal=errno.EPERM, conditions=(Condition(argument=1, value=0x5412),)),
            Rule(names=("read", "write", "breakpoint", "ipc", "socketcall", "ioctl", "rtas", "tgkill")),
            Rule(names=("personality",), conditions=(Condition(argument=0, value=8),)),
            Rule(names=("swapon", "vm86"), refusal=errno.EPERM),
        ),
        otherwise=errno.ENOSYS,
    )
    program, oracle = compile_filter(wanted, machine), Oracle(wanted, architecture)
    for number in {*range(600), 983041, 983047, 2**31, 2**32 - 1, 1 << 30, 1 << 30 | 1} - oracle.unknown():
        for first in (0, 1, 2, 8, 11):
            for second in (0, 0x5412, 0x5412 | 1 << 32):
                asked = (number, (first, second, 0, 0, 0, 0))
                assert ask(program, *asked, architecture).refusal == oracle.ask(*asked).refusal, asked


def call(program: bytes, name: str, *arguments: int) -> int | None:
    return answer(program, call_numbers()[name], *arguments)


def test_an_allow_list_lets_its_calls_pass_and_no_other() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("read", "write")),), otherwise=errno.ENOSYS))
    assert call(program, "read") is None
    assert call(program, "mkdirat") == errno.ENOSYS
    assert answer(program, 9999) == errno.ENOSYS


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


def test_a_list_lets_pass_what_is_on_it() -> None:
    only = Rule(names=("socket",), refusal=errno.EAFNOSUPPORT, conditions=(Unlisted(argument=0, values=(1, 2)),))
    program = compile_filter(Filter(rules=(only,)))
    assert [call(program, "socket", family) for family in (0, 1, 2, 3)] == [97, None, None, 97]


def test_arguments_are_looked_at_only_where_a_rule_asks_for_them() -> None:
    rule = Rule(names=("ioctl",), refusal=errno.EPERM, conditions=(Condition(argument=1, value=0x5412),))
    program = compile_filter(Filter(rules=(rule, Rule(names=("ioctl", "read"))), otherwise=errno.ENOSYS))
    by_arguments = {number for number in range(500) if ask(program, number).by_arguments}
    assert by_arguments == {call_numbers()["ioctl"]}


def test_conditions_that_change_nothing_are_left_out() -> None:
    rule = Rule(names=("ioctl",), refusal=errno.ENOSYS, conditions=(Condition(argument=1, value=0x5412),))
    with_rule = compile_filter(Filter(rules=(rule,), otherwise=errno.ENOSYS))
    assert with_rule == compile_filter(Filter(rules=(), otherwise=errno.ENOSYS))


def test_a_refusal_by_name_also_holds_for_the_call_as_a_part_of_another() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("socket", "semop"), refusal=errno.EPERM),)), "x86_64")
    numbers = call_numbers("i386")
    kinds = [(numbers["socketcall"], SOCKETCALL["socket"]), (numbers["ipc"], IPC["semop"])]
    assert [answer(program, *kind, architecture="i386") for kind in kinds] == [errno.EPERM] * 2
    assert answer(program, numbers["socketcall"], SOCKETCALL["bind"], architecture="i386") is None
    # The kernel takes the high half for a version, and does the same.
    assert answer(program, numbers["ipc"], 1 << 16 | IPC["semop"], architecture="i386") == errno.EPERM


def test_a_strange_architecture_finds_no_calls() -> None:
    assert answer(compile_filter(Filter(rules=())), 0, architecture=STRANGE) == errno.ENOSYS


def test_32_bit_programs_have_the_same_calls_under_their_numbers() -> None:
    program = compile_filter(Filter(rules=(Rule(names=("read", "cachestat")),), otherwise=errno.ENOSYS))
    passing = {number for number in range(500) if answer(program, number, architecture=COMPANION) is None}
    assert passing == {3, 451}


def test_numbers_with_the_bit_of_x32_are_nobodys() -> None:
    for otherwise in (None, errno.ENOSYS):
        program = compile_filter(Filter(rules=(Rule(names=("read",)),), otherwise=otherwise), "x86_64")
        for number in (1 << 30, 1 << 30 | 1, 1 << 30 | 999, 1 << 31, 2**32 - 2):
            assert answer(program, number, architecture="x86_64") == errno.ENOSYS
        # What a debugger skips a call with is no call.
        assert answer(program, 2**32 - 1, architecture="x86_64") == otherwise


def test_a_name_of_no_call_is_refused() -> None:
    with pytest.raises(OSError, match="no such system call: 'reed'"):
        compile_filter(Filter(rules=(Rule(names=("reed",)),), otherwise=errno.ENOSYS))


def test_calls_of_other_architectures_only_are_left_out() -> None:
    none = Filter(rules=(), otherwise=errno.ENOSYS)
    rtas = Filter(rules=(Rule(names=("rtas",)),), otherwise=errno.ENOSYS)
    assert compile_filter(rtas, NATIVE) == compile_filter(none, NATIVE)
    assert compile_filter(rtas, "ppc64le") != compile_filter(none, "ppc64le")


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="the system calls of m68k are not known here"):
        compile_filter(Filter(rules=()), "m68k")
