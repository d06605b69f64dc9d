"""A machine for BPF programs of control groups: what the kernel would do with them, as far as ours go.

Source: kernel document `bpf/standardization/instruction-set`.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_CONTEXT, _STACK, _PACKET = 1 << 20, 2 << 20, 3 << 20
_STACK_SIZE = 512
_LOW = 0xFFFFFFFF

Helper = Callable[["Machine", list[int]], int]
"""What a helper does with R1 to R5; it returns R0."""


@dataclass
class Machine:
    """One run. context, packet: the memory a program is shown; helpers: by number; what is not here is an error."""

    context: bytearray
    packet: bytes = b""
    helpers: Mapping[int, Helper] = field(default_factory=dict)
    stack: bytearray = field(default_factory=lambda: bytearray(_STACK_SIZE))

    def run(self, program: bytes) -> int:
        """Return what the program answers."""
        registers = [0] * 11
        registers[1], registers[10] = _CONTEXT, _STACK + _STACK_SIZE
        position = 0
        while True:
            code, operands, offset, number = struct.unpack_from("=BBhi", program, position * 8)
            to, source, position = operands & 0xF, operands >> 4, position + 1
            low, unsigned = registers[to] & _LOW, number & _LOW
            match code:
                case 0x61 | 0x71:
                    size = 4 if code == 0x61 else 1
                    registers[to] = self._load(registers[source] + offset, size)
                case 0x63 | 0x6B:
                    self._store(registers[to] + offset, registers[source], 4 if code == 0x63 else 2)
                case 0x62:
                    self._store(registers[to] + offset, number, 4)
                case 0xB7:
                    registers[to] = number
                case 0xBF:
                    registers[to] = registers[source]
                case 0x07:
                    registers[to] += number
                case 0x54:
                    registers[to] = low & unsigned
                case 0x44:
                    registers[to] = low | unsigned
                case 0x64:
                    registers[to] = low << number & _LOW
                case 0x74:
                    registers[to] = low >> number
                case 0xDC:
                    registers[to] = int.from_bytes(struct.pack("=H", low & 0xFFFF), "big")
                case 0x05:
                    position += offset
                case 0x16 | 0x56 | 0x26 | 0xA6:
                    taken = {0x16: low == unsigned, 0x56: low != unsigned, 0x26: low > unsigned, 0xA6: low < unsigned}
                    position += offset * taken[code]
                case 0x15:
                    position += offset * (registers[to] == number)
                case 0x1E:
                    position += offset * (low == registers[source] & _LOW)
                case 0x2D:
                    position += offset * (registers[to] > registers[source])
                case 0x85:
                    registers[0] = self.helpers[number](self, registers[1:6])
                case 0x95:
                    return registers[0]
                case _:
                    raise AssertionError(f"unexpected instruction {code:#x}")

    def memory(self, address: int, size: int) -> bytes:
        """Return what stands at an address that a program gave a helper."""
        return bytes(self._part(address)[0][(start := self._part(address)[1]) : start + size])

    def _part(self, address: int) -> tuple[bytes | bytearray, int]:
        parts: dict[int, bytes | bytearray] = {_CONTEXT: self.context, _STACK: self.stack, _PACKET: self.packet}
        base = address >> 20 << 20
        return parts[base], address - base

    def _load(self, address: int, size: int) -> int:
        found = self.memory(address, size)
        assert len(found) == size, f"a load beyond the end, at {address:#x}"
        return int.from_bytes(found, "little")

    def _store(self, address: int, value: int, size: int) -> None:
        part, start = self._part(address)
        assert isinstance(part, bytearray)
        assert start + size <= len(part), f"a store beyond the end, at {address:#x}"
        part[start : start + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def packet_context(protocol: int, packet: bytes) -> bytearray:
    """Return a struct __sk_buff that shows a packet. protocol: as Ethernet has it."""
    context = bytearray(256)
    context[16:18] = protocol.to_bytes(2, "big")
    struct.pack_into("<II", context, 76, _PACKET, _PACKET + len(packet))
    return context
