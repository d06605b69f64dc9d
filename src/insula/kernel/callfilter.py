"""System call filters: rules about calls, compiled to short programs for `kernel.seccomp.load`.

What most calls are answered depends on their number alone: a tree over ranges of numbers finds it in some six
comparisons. Only where rules have conditions are arguments looked at, behind the tree. A program is for one machine:
its own architecture and that of the 32-bit programs it executes; any other's calls fail with ENOSYS.

The kernel runs a filter once for every number when it is loaded, to remember what passes whatever the arguments are;
so a short way to each number makes starts cheaper, and programs notice nothing of it.
Sources: seccomp(2), linux/seccomp.h, linux/audit.h, kernel document `userspace-api/seccomp_filter`.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from insula.kernel.callnumbers import IPC, SOCKETCALL, call_numbers, is_call
from insula.kernel.classicbpf import Assembler, Compare, Place

WHOLE = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """True if the bits of mask in a call's argument (0..5) equal value.

    Only the low 32 bits are looked at, as the kernel does for an int.
    """

    argument: int
    value: int
    mask: int = WHOLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Unlisted:
    """True if the bits of mask in a call's argument (0..5) equal none of values; low 32 bits as above."""

    argument: int
    values: tuple[int, ...]
    mask: int = WHOLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What happens to calls named, if all conditions hold. refusal: the errno they fail with, None to let them pass.

    A rule without conditions also holds for a named call as a part of socketcall or ipc. One with conditions does not:
    the arguments are in memory there, where no filter looks.
    """

    names: tuple[str, ...]
    refusal: int | None = None
    conditions: tuple[Condition | Unlisted, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Rules in order: the first that names a call and whose conditions hold decides.

    Calls that none decides fail with the errno `otherwise`, or pass for None.
    """

    rules: tuple[Rule, ...]
    otherwise: int | None = None


AUDIT_NUMBERS = {
    "x86_64": 0xC000003E,
    "i386": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
    "riscv64": 0xC00000F3,
    "ppc64le": 0xC0000015,
    "s390x": 0x80000016,
}
"""What the kernel calls an architecture when it asks a filter. Source: linux/audit.h."""

COMPANIONS = {"x86_64": "i386", "aarch64": "arm"}
"""Further architectures whose programs a machine executes. x32 is left out on purpose: nobody has its user land."""

_BIG_ENDIAN = frozenset({"s390x"})

_X32_CALLS = 0x40000000
"""From this number on, calls of x86-64's architecture are x32's."""

_SKIPPED_CALL = 0xFFFFFFFF
"""What a debugger puts in a call's place, so that it is not made."""

_IN_USE = 480
"""About where the numbers that a kernel has end."""

_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16
_ARGUMENT_SIZE = 8
"""Offsets in struct seccomp_data."""

_LET_PASS = 0x7FFF0000
_FAIL = 0x00050000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO."""

_NO_SUCH_CALL = _FAIL | errno.ENOSYS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Check:
    """What a call is answered if all conditions hold."""

    conditions: tuple[Condition | Unlisted, ...]
    answer: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """What calls of one number are answered: as the first check says that holds, else as `answer` says."""

    answer: int
    checks: tuple[_Check, ...] = ()


def compile_filter(wanted: Filter, machine: str | None = None) -> bytes:
    """Return the filter as a program for `kernel.seccomp.load`, for this machine or another.

    Calls that an architecture does not have are left out. Takes some milliseconds.
    Raises: OSError(EINVAL) for a name of no system call at all; ENOSYS for a machine whose calls are not known.
    """
    for name in {name for rule in wanted.rules for name in rule.names}:
        if not is_call(name):
            raise OSError(errno.EINVAL, "no such system call", name)
    native = os.uname().machine if machine is None else machine
    sections = {each: _ranges(wanted, each) for each in (native, COMPANIONS.get(native)) if each is not None}
    program = Assembler()
    low_half = 4 if native in _BIG_ENDIAN else 0
    questions = dict.fromkeys(verdict for ranges in sections.values() for _, verdict in ranges if verdict.checks)
    blocks = {verdict: _block(program, verdict, low_half) for verdict in questions}
    nowhere = program.answer(_NO_SUCH_CALL)
    # From the end on, so what is put last gets the shortest way: native calls.
    for architecture, ranges in reversed(sections.items()):
        calls = program.load(_NUMBER, _tree(program, ranges, blocks))
        nowhere = program.test(Compare.EQUAL, AUDIT_NUMBERS[architecture], calls, nowhere)
    program.load(_ARCHITECTURE, nowhere)
    return program.program()


def _answer(refusal: int | None) -> int:
    return _LET_PASS if refusal is None else _FAIL | refusal


def _verdicts(wanted: Filter, architecture: str) -> dict[int, _Verdict]:
    """Return the verdict on every number that a rule is about."""
    checks: dict[int, list[_Check]] = {}
    decided: dict[int, int] = {}
    numbers = call_numbers(architecture)
    for rule in wanted.rules:
        for number, conditions in _meant(rule, numbers):
            found = checks.setdefault(number, [])
            if number in decided:
                continue
            if conditions:
                found.append(_Check(conditions=conditions, answer=_answer(rule.refusal)))
            else:
                decided[number] = _answer(rule.refusal)
    otherwise = _answer(wanted.otherwise)
    return {number: _pruned(found, decided.get(number, otherwise)) for number, found in checks.items()}


def _meant(rule: Rule, numbers: Mapping[str, int]) -> Iterator[tuple[int, tuple[Condition | Unlisted, ...]]]:
    """Return the numbers a rule is about, each with the conditions it has there."""
    for name in rule.names:
        if name in numbers:
            yield numbers[name], rule.conditions
        for whole, parts, mask in (("socketcall", SOCKETCALL, WHOLE), ("ipc", IPC, 0xFFFF)):
            if name in parts and whole in numbers and not rule.conditions:
                yield numbers[whole], (Condition(argument=0, value=parts[name], mask=mask),)


def _pruned(checks: Sequence[_Check], answer: int) -> _Verdict:
    """Return the verdict without checks that only say what is answered anyway."""
    needed = list(checks)
    while needed and needed[-1].answer == answer:
        needed.pop()
    return _Verdict(checks=tuple(needed), answer=answer)


def _ranges(wanted: Filter, architecture: str) -> list[tuple[int, _Verdict]]:
    """Return where each run of numbers with one verdict begins; the first is 0, the last has no end."""
    verdicts = _verdicts(wanted, architecture)
    otherwise = _Verdict(answer=_answer(wanted.otherwise))
    end = max(verdicts, default=-1) + 1
    starts = [(number, verdicts.get(number, otherwise)) for number in _around(verdicts)]
    starts.append((end, otherwise))
    if architecture == "x86_64":
        starts += [(_X32_CALLS, _Verdict(answer=_NO_SUCH_CALL)), (_SKIPPED_CALL, otherwise)]
    return [next(run) for _, run in groupby(starts, key=lambda each: each[1])]


def _around(verdicts: dict[int, _Verdict]) -> list[int]:
    """Return, in order, every number where a verdict may differ from that of the number before it."""
    return sorted({0, *(number + step for number in verdicts for step in (0, 1))} - {max(verdicts, default=-1) + 1})


def _tree(program: Assembler, ranges: Sequence[tuple[int, _Verdict]], blocks: dict[_Verdict, Place]) -> Place:
    """Put what finds the verdict on a loaded number; return where it begins. blocks: where arguments are looked at."""
    if len(ranges) == 1:
        verdict = ranges[0][1]
        return blocks[verdict] if verdict.checks else program.answer(verdict.answer)
    middle = _middle([start for start, _ in ranges])
    above = _tree(program, ranges[middle:], blocks)
    below = _tree(program, ranges[:middle], blocks)
    return program.test(Compare.AT_LEAST, ranges[middle][0], above, below)


def _middle(starts: Sequence[int]) -> int:
    """Return where to divide ranges so that both sides have as many numbers of those that the kernel asks about."""
    places = [min(start, _IN_USE) for start in starts]
    half = (places[0] + _IN_USE) / 2 if starts[-1] >= _IN_USE else (places[0] + places[-1] + 1) / 2
    return min(range(1, len(starts)), key=lambda index: abs(places[index] - half))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """Where a question begins; and where, for whoever has loaded these bits of this argument already."""

    place: Place
    loaded: Place | None = None
    argument: int | None = None
    mask: int | None = None

    def coming_from(self, question: Condition | Unlisted) -> Place:
        """Return where to go from a question whose bits are still loaded."""
        same = (self.argument, self.mask) == (question.argument, question.mask)
        return self.loaded if same and self.loaded is not None else self.place


def _block(program: Assembler, verdict: _Verdict, low_half: int) -> Place:
    """Put what answers calls whose arguments count; return where it begins. low_half: where in them it lies."""
    entry = _Entry(place=program.answer(verdict.answer))
    for check in reversed(verdict.checks):
        otherwise = entry
        entry = _Entry(place=program.answer(check.answer))
        for question in reversed(check.conditions):
            entry = _question(program, question, low_half, holds=entry, fails=otherwise)
    return entry.place


def _question(
    program: Assembler, question: Condition | Unlisted, low_half: int, *, holds: _Entry, fails: _Entry
) -> _Entry:
    """Put one condition, which goes on to one of two entries."""
    yes, no = holds.coming_from(question), fails.coming_from(question)
    if isinstance(question, Condition):
        loaded = program.test(Compare.EQUAL, question.value, yes, no)
    elif not question.values:
        return holds
    else:
        loaded = yes
        for value in reversed(question.values):
            loaded = program.test(Compare.EQUAL, value, no, loaded)
    place = loaded if question.mask == WHOLE else program.mask(question.mask, loaded)
    place = program.load(_ARGUMENTS + _ARGUMENT_SIZE * question.argument + low_half, place)
    return _Entry(place=place, argument=question.argument, mask=question.mask, loaded=loaded)
