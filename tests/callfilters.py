"""System call filters without a kernel: what a program answers, and what libseccomp makes of the same rules."""

import errno
import os
import struct
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

from insula.kernel.callfilter import AUDIT_NUMBERS, COMPANIONS, Condition, Filter, Rule, Unlisted
from insula.kernel.callnumbers import call_numbers
from tests.seccompbinding import libseccomp

NATIVE = os.uname().machine
COMPANION = COMPANIONS[NATIVE]
STRANGE = "of no machine of ours"
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
_ARGUMENTS = 16


class Asked(NamedTuple):
    """What a program answered: the errno, or None to let pass; and whether it has looked at arguments for it."""

    refusal: int | None
    by_arguments: bool
    steps: int


def ask(program: bytes, number: int, arguments: Sequence[int] = (), architecture: str = NATIVE) -> Asked:
    """Run a filter as the kernel would."""
    instructions = _decoded(program)
    order = ">" if architecture == "s390x" else "<"
    audit = AUDIT_NUMBERS.get(architecture, 0x12345678)
    data = struct.pack(f"{order}IIQ6Q", number & 0xFFFFFFFF, audit, 0, *arguments, *(0,) * (6 - len(arguments)))
    words = struct.unpack(f"{order}16I", data)
    accumulator = position = steps = 0
    by_arguments = False
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        steps += 1
        match code:
            case 0x20:
                accumulator = words[value // 4]
                by_arguments |= value >= _ARGUMENTS
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
                return Asked(None if value == ALLOW else value & 0xFFFF, by_arguments, steps)
            case _:
                raise AssertionError(f"unexpected instruction {code:#x}")


def answer(program: bytes, number: int, *arguments: int, architecture: str = NATIVE) -> int | None:
    """The errno that a call gets, or None if it may pass."""
    return ask(program, number, arguments, architecture).refusal


@cache
def _decoded(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))


def holds(question: Condition | Unlisted, arguments: Sequence[int]) -> bool:
    """Our own reading of a condition."""
    found = arguments[question.argument] & question.mask & 0xFFFFFFFF
    if isinstance(question, Condition):
        return found == question.value
    return found not in question.values


class Oracle:
    """A filter as libseccomp compiles it, for one architecture.

    The library knows no order and no lists with another answer for all the rest. So refusals that stand before the
    first rule which lets something pass are programs of their own, each asked in turn, and lists are read here.
    """

    def __init__(self, wanted: Filter, architecture: str) -> None:
        self.architecture = architecture
        refusals = next((at for at, each in enumerate(wanted.rules) if each.refusal is None), len(wanted.rules))
        self._stages: list[bytes | list[Rule]] = []
        for listed, rules in groupby(wanted.rules[:refusals], key=_has_list):
            group = list(rules)
            self._stages.append(group if listed else self._compiled(Filter(rules=tuple(group))))
        rest = Filter(rules=wanted.rules[refusals:], otherwise=wanted.otherwise)
        if rest.rules:
            self._stages.append(self._compiled(rest))

    def ask(self, number: int, arguments: Sequence[int] = (0,) * 6) -> Asked:
        """Return the first refusal there is."""
        by_arguments = False
        for stage in self._stages:
            if isinstance(stage, bytes):
                asked = ask(stage, number, arguments, self.architecture)
            else:
                asked = self._by_lists(stage, number, arguments)
            by_arguments |= asked.by_arguments
            if asked.refusal is not None:
                return Asked(asked.refusal, by_arguments, 0)
        return Asked(None, by_arguments, 0)

    def unknown(self) -> set[int]:
        """Return the numbers of calls that are newer than the library, on which it has no opinion."""
        return {number for name, number in call_numbers(self.architecture).items() if not self._knows(name, number)}

    def _by_lists(self, rules: list[Rule], number: int, arguments: Sequence[int]) -> Asked:
        numbers = call_numbers(self.architecture)
        named = [rule for rule in rules if number in {numbers.get(name) for name in rule.names}]
        for rule in named:
            if all(holds(each, arguments) for each in rule.conditions):
                return Asked(rule.refusal, True, 0)
        return Asked(None, bool(named), 0)

    def _knows(self, name: str, number: int) -> bool:
        try:
            return bool(libseccomp.resolve_syscall(_arch(self.architecture), number).decode() == name)
        except ValueError:
            return False

    def _compiled(self, wanted: Filter) -> bytes:
        program = libseccomp.SyscallFilter(_action(wanted.otherwise))
        program.set_attr(libseccomp.Attr.ACT_BADARCH, libseccomp.ERRNO(errno.ENOSYS))
        if self.architecture != NATIVE:
            program.remove_arch(libseccomp.Arch.NATIVE)
            program.add_arch(_arch(self.architecture))
        for rule in wanted.rules:
            if rule.refusal == wanted.otherwise:
                continue  # says what is true already, which libseccomp refuses (EACCES)
            for name in rule.names:
                number = int(libseccomp.resolve_syscall(libseccomp.Arch.NATIVE, name))
                if number != _NO_NAME:
                    program.add_rule(_action(rule.refusal), number, *map(_comparison, rule.conditions))
        with os.fdopen(os.memfd_create("libseccomp", os.MFD_CLOEXEC), "w+b") as file:
            program.export_bpf(file)
            file.seek(0)
            exported = file.read()
        order = ">" if self.architecture == "s390x" else "<"
        return b"".join(struct.pack("=HBBI", *each) for each in struct.iter_unpack(f"{order}HBBI", exported))


_NO_NAME = -1


def _has_list(rule: Rule) -> bool:
    return any(isinstance(each, Unlisted) for each in rule.conditions)


def _arch(architecture: str) -> int:
    return int(getattr(libseccomp.Arch, {"i386": "X86"}.get(architecture, architecture.upper())))


def _action(refusal: int | None) -> int:
    return int(libseccomp.ALLOW if refusal is None else libseccomp.ERRNO(refusal))


def _comparison(question: Condition | Unlisted) -> "libseccomp.Arg":
    assert isinstance(question, Condition)
    return libseccomp.Arg(question.argument, libseccomp.MASKED_EQ, question.mask, question.value)
