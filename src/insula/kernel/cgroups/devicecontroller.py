"""Device policy: a list of what is allowed, everything else refused. v1 has files for it, v2 asks a BPF program."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from insula.kernel import bpf
from insula.kernel.bpfassembler import BpfAssembler, Comparison, JumpTarget, Register
from insula.kernel.cgroups import files

_EVERYTHING = "a *:* rwm"
_POLICIES = 32
"""Policies that are kept: most guests have one of a few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRule:
    """Nodes that may be used. kind: "c" or "b"; major, minor: None is any; access: letters of r, w and m (mknod)."""

    kind: str
    major: int | None
    minor: int | None
    access: str = "rwm"

    def __str__(self) -> str:
        """Return the rule as v1's files have it: `c 1:3 rwm`."""
        return f"{self.kind} {_number(self.major)}:{_number(self.minor)} {self.access}"


def _number(value: int | None) -> str:
    return "*" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class V1Devices:
    """The v1 device controller of a group. Source: kernel document `admin-guide/cgroup-v1/devices`."""

    directory: str

    def allow(self, rules: tuple[DeviceRule, ...]) -> None:
        """Refuse every device but those of rules.

        A policy that is already there is changed by its difference, additions first: no moment without the old rights.
        """
        held = self._held()
        if held is None:
            files.write(f"{self.directory}/devices.deny", "a")
            files.write(f"{self.directory}/devices.allow", *_lines(rules))
            return
        wanted = _by_node(rules)
        added = [
            f"{node} {_letters(access)}" for node, access in wanted.items() if access - held.get(node, frozenset())
        ]
        if added:
            files.write(f"{self.directory}/devices.allow", *added)
        for node, access in held.items():
            if access - wanted.get(node, frozenset()):
                files.write(
                    f"{self.directory}/devices.deny", f"{node} {_letters(access - wanted.get(node, frozenset()))}"
                )

    def _held(self) -> dict[str, frozenset[str]] | None:
        """Return each node's access, or None as long as everything is allowed."""
        lines = files.read(f"{self.directory}/devices.list").splitlines()
        if _EVERYTHING in lines:
            return None
        held: dict[str, frozenset[str]] = {}
        for line in lines:
            node, _, access = line.rpartition(" ")
            held[node] = held.get(node, frozenset()) | frozenset(access)
        return held


@lru_cache(_POLICIES)
def _by_node(rules: tuple[DeviceRule, ...]) -> Mapping[str, frozenset[str]]:
    """Return the access that rules give to each node, rules for the same node taken together."""
    nodes: dict[str, frozenset[str]] = {}
    for rule in rules:
        node = str(rule).rpartition(" ")[0]
        nodes[node] = nodes.get(node, frozenset()) | frozenset(rule.access)
    return MappingProxyType(nodes)


@lru_cache(_POLICIES)
def _lines(rules: tuple[DeviceRule, ...]) -> tuple[str, ...]:
    """Return what has to be written to allow all that rules allow."""
    return tuple(f"{node} {_letters(access)}" for node, access in _by_node(rules).items())


def _letters(access: frozenset[str]) -> str:
    return "".join(letter for letter in "rwm" if letter in access)


_KINDS = {"b": 1, "c": 2}
_LETTERS = {"m": 1, "r": 2, "w": 4}
_EVERY_ACCESS = 7
_PROGRAM_NAME = "insula_devices"


@dataclass(frozen=True, slots=True)
class V2Devices:
    """Device policy of a v2 group. Source: linux/bpf.h, struct bpf_cgroup_dev_ctx."""

    directory: str

    def allow(self, rules: tuple[DeviceRule, ...], loaded: bpf.LoadedPrograms | None = None) -> None:
        """Refuse every device but those of rules; a policy that is already there is replaced at once."""
        bpf.put_in_place(self.directory, bpf.CGROUP_DEVICE, device_program(rules), _PROGRAM_NAME, loaded)


@lru_cache(_POLICIES)
def device_program(rules: tuple[DeviceRule, ...]) -> bytes:
    """Return the BPF program that answers 1 for what rules allow and 0 for all else."""
    program = BpfAssembler()
    program.load_word(Register.R2, Register.R1, 0)  # kind in the low half, wanted access in the high one
    program.copy(Register.R3, Register.R2)
    program.mask(Register.R2, 0xFFFF)
    program.shift_right(Register.R3, 16)
    program.load_word(Register.R4, Register.R1, 4)
    program.load_word(Register.R5, Register.R1, 8)
    for node, access in _by_node(rules).items():
        kind, _, numbers = node.partition(" ")
        major, _, minor = numbers.partition(":")
        other = JumpTarget()
        program.jump_if(Register.R2, Comparison.UNEQUAL, _KINDS[kind], other)
        if major != "*":
            program.jump_if(Register.R4, Comparison.UNEQUAL, int(major), other)
        if minor != "*":
            program.jump_if(Register.R5, Comparison.UNEQUAL, int(minor), other)
        refused = _EVERY_ACCESS & ~sum(_LETTERS[letter] for letter in access)
        if refused:
            program.copy(Register.R0, Register.R3)
            program.mask(Register.R0, refused)
            program.jump_if(Register.R0, Comparison.UNEQUAL, 0, other)
        program.leave(1)
        program.here(other)
    program.leave(0)
    return program.program()
