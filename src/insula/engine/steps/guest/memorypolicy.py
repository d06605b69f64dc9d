"""Steps that choose from which NUMA nodes a program's memory is to come, where that is a wish and no limit."""

import errno
import struct
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.spec import MemoryPolicy
from insula.engine.steps.guest.gueststep import GuestStep

_PREFERRED, _INTERLEAVE, _PREFERRED_MANY = 1, 3, 5
"""Source: linux/mempolicy.h."""
_NODES_MAX = 1024
"""Bits of a mask; no kernel is built for more nodes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChooseMemory(GuestStep):
    """Have the program, and what it starts, take its memory from these nodes while they have some."""

    phrase: ClassVar[str] = "take its memory by {policy}"

    policy: MemoryPolicy

    def compile(self, program: Builder) -> None:
        nodes = self.policy.nodes
        bits = sum(1 << node for node in nodes)
        mask = struct.pack("<16Q", *(bits >> shift & (2**64 - 1) for shift in range(0, _NODES_MAX, 64)))
        mode = _INTERLEAVE if self.policy.interleaved else _PREFERRED if len(nodes) == 1 else _PREFERRED_MANY
        means = {
            errno.EINVAL: f"the host has not all of the NUMA nodes {', '.join(map(str, nodes))} ({{error}})",
            errno.ENOSYS: "this kernel has no NUMA policies ({error})",
        }
        # The kernel counts one bit less than it is told.
        program.call("set_mempolicy", mode, program.constant(mask), _NODES_MAX + 1, means=means)
