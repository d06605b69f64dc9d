"""System calls as 32-bit programs of x86 make them, from a 64-bit one: int 0x80, with arguments below 4 GiB."""

import ctypes
import mmap
import os
import signal
import struct
from functools import cache

_MAP_32BIT = 0x40
_CODE = bytes.fromhex("53 89f8 89f3 4189c9 89d1 4489ca 4489c6 cd80 5b c3")
"""push rbx; eax, ebx, ecx, edx, esi = edi, esi, edx, ecx, r8d; int 0x80; pop rbx; ret."""
_SIZE = 4096


@cache
def _ground() -> mmap.mmap:
    """Memory below 4 GiB: the code first, arguments in the second half."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT
    ground = mmap.mmap(-1, _SIZE, flags, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    ground[: len(_CODE)] = _CODE
    return ground


def call32(number: int, *arguments: int) -> int:
    """Return what the call returns, an errno's negative for an error. SIGSEGV where no such programs run."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(_ground()))
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_uint32] * 5)(address)
    return int(function(number, *arguments, *(0,) * (4 - len(arguments))))


def words32(*words: int) -> int:
    """Return the address of 32-bit words in memory, as socketcall(2) takes its arguments."""
    ground = _ground()
    struct.pack_into(f"={len(words)}I", ground, _SIZE // 2, *words)
    return ctypes.addressof(ctypes.c_char.from_buffer(ground)) + _SIZE // 2


def unsupported() -> str:
    """Return why such calls cannot be made here, empty if they can."""
    if os.uname().machine != "x86_64":
        return f"{os.uname().machine} has no 32-bit calls of x86"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os._exit(0 if call32(20) == os.getpid() else 1)
    return "" if os.waitpid(child, 0)[1] == 0 else "the kernel runs no 32-bit programs"
