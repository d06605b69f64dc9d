import struct

from insula.kernel.cgroups.socketoptions import SocketOption, option_program


def answer(program: bytes, level: int, option: int) -> tuple[int, bool]:
    """Run a program as the kernel would; return its answer, and whether it has left the value alone."""
    context = bytearray(struct.pack("=QQQiiii", 0, 0, 0, level, option, 4, 0))
    registers, position = [0] * 6, 0
    while True:
        code, operands, offset, number = struct.unpack_from("=BBhi", program, position * 8)
        to, position = operands & 0xF, position + 1
        match code:
            case 0x61:
                registers[to] = struct.unpack_from("=I", context, offset)[0]
            case 0xB7:
                registers[to] = number
            case 0x55:
                position += offset if registers[to] != number else 0
            case 0x62:
                struct.pack_into("=i", context, offset, number)
            case 0x95:
                return registers[0], struct.unpack_from("=i", context, 32)[0] == 0
            case _:
                raise AssertionError(f"unexpected instruction {code:#x}")


def test_what_is_listed_is_refused_and_all_else_passes_untouched() -> None:
    program = option_program((SocketOption(level=279), SocketOption(level=6, option=31)))
    assert [answer(program, 279, option)[0] for option in (0, 1, 99)] == [0, 0, 0]
    assert answer(program, 6, 31)[0] == 0
    assert answer(program, 6, 30) == answer(program, 1, 31) == (1, True)


def test_an_option_is_called_as_the_kernel_does() -> None:
    options = (SocketOption(level=279), SocketOption(level=6, option=31), SocketOption(level=1, option=2))
    assert [str(each) for each in options] == ["all of SOL_ALG", "TCP_ULP", "2 of level 1"]


def test_an_empty_list_refuses_nothing() -> None:
    assert answer(option_program(()), 279, 1) == (1, True)
