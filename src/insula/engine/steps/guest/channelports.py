"""Steps that give the guest its channels: terminals that pass bytes as they are, at the names of virtio's ports."""

import os
import struct
import termios
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.terminals import numbered_master
from insula.kernel.pty import TIOCGPTPEER

PORTS = "virtio-ports"
"""The directory below /dev where programs of virtual machines look for channels by their names."""

_CONTROL_CHARACTERS = 19
"""Source: NCCS of asm-generic/termbits.h, for the kernel's own struct termios."""
_RAW = struct.pack(
    f"IIIIB{_CONTROL_CHARACTERS}s", 0, 0, termios.CS8 | termios.CREAD | termios.B38400, 0, 0, b"\0" * 6 + b"\1"
)
"""No echo, lines, signals or change to any byte; what is there is read at once (VMIN is 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeChannels(GuestStep):
    """Open a raw terminal for each channel, behind those of the consoles. terminals: how many those are."""

    phrase: ClassVar[str] = "open channels and show them below /dev/virtio-ports: {names}"

    names: tuple[str, ...]
    terminals: int

    def compile(self, program: Builder) -> None:
        root = program.rooted()
        devpts = program.open_beneath(root, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
        for number, name in enumerate(self.names, self.terminals):
            master = numbered_master(program, devpts, number)
            program.call("ioctl", master, termios.TCSETS, program.constant(_RAW))
            # Once open and closed again it counts as hung up: from then on one can ask whether anybody has it open.
            program.close(program.call("ioctl", master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            mount = program.detached_copy(str(number), directory=devpts)
            target = program.place(root, f"dev/{PORTS}/{name}", directory=False)
            program.attach(mount, target)
            program.close(target)
            program.close(mount)
        program.close(devpts)
