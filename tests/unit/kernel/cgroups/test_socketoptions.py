import struct

from insula.kernel.cgroups.socketoptions import SocketOption, option_program
from tests.ebpf import Machine


def answer(program: bytes, level: int, option: int) -> tuple[int, bool]:
    """Run a program as the kernel would; return its answer, and whether it has left the value alone."""
    machine = Machine(bytearray(struct.pack("=QQQiiii", 0, 0, 0, level, option, 4, 0)))
    return machine.run(program), struct.unpack_from("=i", machine.context, 32)[0] == 0


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
