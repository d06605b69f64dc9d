"""Socket options that the processes of a v2 group may not set, whatever call they set them by.

A filter of system calls does not see into socketcall(2); this program is asked behind it. Sources: kernel document
`bpf/prog_cgroup_sockopt`, linux/bpf.h, struct bpf_sockopt.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from insula.kernel import bpf
from insula.kernel.bpfassembler import BpfAssembler, Comparison, JumpTarget, Register

_PROGRAM_NAME = "insula_sockopt"
_LEVEL, _OPTION, _LENGTH = 24, 28, 32
_LEVELS = {6: "SOL_TCP", 263: "SOL_PACKET", 272: "SOL_RXRPC", 279: "SOL_ALG"}
_OPTIONS = {(6, 31): "TCP_ULP", (263, 5): "PACKET_RX_RING", (263, 13): "PACKET_TX_RING"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketOption:
    """One option, or all of a level for None. Numbers as setsockopt(2) takes them."""

    level: int
    option: int | None = None

    def __str__(self) -> str:
        """Return the kernel's own words: `TCP_ULP`, `all of SOL_ALG`, or numbers where they are not known here."""
        level = _LEVELS.get(self.level, f"level {self.level}")
        if self.option is None:
            return f"all of {level}"
        return _OPTIONS.get((self.level, self.option), f"{self.option} of {level}")


def refuse(directory: str, options: tuple[SocketOption, ...], loaded: bpf.LoadedPrograms | None = None) -> None:
    """Have setsockopt fail with EPERM for these options in a group and below; what was refused before no longer is.

    Raises: OSError, as where the kernel has no such programs.
    """
    bpf.put_in_place(directory, bpf.CGROUP_SETSOCKOPT, option_program(options), _PROGRAM_NAME, loaded)


@lru_cache(8)
def option_program(options: tuple[SocketOption, ...]) -> bytes:
    """Return the BPF program that answers 0 for these options and 1 for all else. Guests are refused the same ones."""
    program = BpfAssembler()
    program.load_word(Register.R2, Register.R1, _LEVEL)
    program.load_word(Register.R3, Register.R1, _OPTION)
    for each in options:
        other = JumpTarget()
        program.jump_if(Register.R2, Comparison.UNEQUAL, each.level, other)
        if each.option is not None:
            program.jump_if(Register.R3, Comparison.UNEQUAL, each.option, other)
        program.leave(0)
        program.here(other)
    # A length of 0 says that the value was not looked at: else the kernel refuses those longer than a page.
    program.store_number(Register.R1, _LENGTH, 0)
    program.leave(1)
    return program.program()


def can_be_refused() -> bool:
    """Whether this kernel takes such programs from us."""
    try:
        fd = bpf.load_program(bpf.CGROUP_SETSOCKOPT, option_program(()), _PROGRAM_NAME)
    except OSError:
        return False
    os.close(fd)
    return True
