"""What a filter answers is what the kernel would make of it."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.engine.policy.syscalls import filter_rules
from insula.engine.spec import Seccomp
from insula.kernel.callfilter import AUDIT_NUMBERS, COMPANIONS, compile_filter
from insula.kernel.callnumbers import call_numbers
from insula.kernel.classicbpf import INSTRUCTION
from insula.kernel.filtertrial import refusal_of
from tests.callfilters import ask
from tests.examples import FEW, examples

MACHINE = os.uname().machine
RULES = filter_rules(Seccomp(new_mounts=False))
assert RULES is not None
PROGRAM = compile_filter(RULES)


def test_calls_are_answered_by_number_architecture_and_arguments() -> None:
    numbers, architecture = call_numbers(), AUDIT_NUMBERS[MACHINE]

    def answer(name: str, *arguments: int) -> int | None:
        return refusal_of(PROGRAM, architecture=architecture, number=numbers[name], arguments=arguments)

    assert answer("read") is None
    assert answer("bpf") == errno.EPERM
    assert answer("ioctl", 0, 0x5401) is None
    assert answer("ioctl", 0, 0x5412) == errno.EPERM
    assert refusal_of(PROGRAM, architecture=0x1234, number=0, arguments=()) == errno.ENOSYS


@settings(max_examples=examples(FEW))
@given(
    number=st.integers(0, 600) | st.integers(0, (1 << 32) - 1),
    arguments=st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 300), max_size=6),
    architecture=st.sampled_from([MACHINE, *(each for each in [COMPANIONS.get(MACHINE)] if each)]),
)
def test_it_agrees_with_another_interpreter(number: int, arguments: list[int], architecture: str) -> None:
    told = refusal_of(PROGRAM, architecture=AUDIT_NUMBERS[architecture], number=number, arguments=arguments)
    assert told == ask(PROGRAM, number, arguments, architecture).refusal


@pytest.mark.parametrize(
    ("instructions", "why"),
    [
        ([(0x06, 0, 0, 0x7FC00000)], "neither to pass nor to fail"),
        ([(0x99, 0, 0, 0)], "is not known here"),
        ([(0x54, 0, 0, 1)], "without an answer"),
    ],
)
def test_what_we_never_write_is_refused(instructions: list[tuple[int, int, int, int]], why: str) -> None:
    program = b"".join(INSTRUCTION.pack(*each) for each in instructions)
    with pytest.raises(ValueError, match=why):
        refusal_of(program, architecture=0, number=0, arguments=())
