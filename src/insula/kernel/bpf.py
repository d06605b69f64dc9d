"""BPF programs on control groups: loading, attaching, replacing.

An attached program stays when every fd of it is closed, and goes with its group. Sources: bpf(2), linux/bpf.h, kernel
document `bpf/prog_cgroup_sockopt` on how programs of a group combine.
"""

import contextlib
import ctypes
import errno
import os
import struct
from collections import OrderedDict
from enum import IntEnum
from typing import NamedTuple

from insula.kernel.fds import Fd
from insula.kernel.syscall import syscall


class ProgramKind(NamedTuple):
    """A program type and where it is attached, by the kernel's numbers."""

    program: int
    attach: int


CGROUP_DEVICE = ProgramKind(15, 6)
"""Asked at every open and mknod of a device node; since Linux 4.15."""


CGROUP_SETSOCKOPT = ProgramKind(25, 22)
"""Asked at every setsockopt, whatever system call it comes by; since Linux 5.3."""


class _BpfCommand(IntEnum):
    PROG_LOAD = 5
    PROG_ATTACH = 8
    PROG_GET_FD_BY_ID = 13
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16


_ALLOW_MULTI = 2
_REPLACE = 4
_LICENSE = b"Apache-2.0\0"
_NAME_SIZE = 16
_NAME_OFFSET = 64
_INFORMATION_SIZE = 128
_LOG_SIZE = 65536
_MOST_PROGRAMS = 64
_QUERY_COUNT_OFFSET = 24
_ATTRIBUTES_SIZE = 128


class _BpfAttributes(ctypes.Structure):
    """Room for one form of union bpf_attr; what is beyond the form is zero, as the kernel demands."""

    _fields_ = (("form", ctypes.c_uint8 * _ATTRIBUTES_SIZE),)


@syscall({"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}.get(os.uname().machine, -1))
def _bpf(command: int, attributes: _BpfAttributes, size: int) -> int:
    raise NotImplementedError


def _call(command: _BpfCommand, attributes: bytes) -> tuple[int, bytes]:
    """Perform a command; return its result, and its attributes as the kernel left them."""
    room = _BpfAttributes.from_buffer_copy(attributes.ljust(_ATTRIBUTES_SIZE, b"\0"))
    result = _bpf(command, room, _ATTRIBUTES_SIZE)
    return result, bytes(room)


def load_program(kind: ProgramKind, program: bytes, name: str) -> Fd:
    """Return an fd of a program that the kernel has verified; the caller closes it.

    name: at most 15 characters, shown by bpftool. Raises: OSError with the verifier's last words.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(_LICENSE)

    def attributes(level: int, log: ctypes.Array[ctypes.c_char] | None) -> bytes:
        return struct.pack(
            "=IIQQIIQII16sII",
            kind.program,
            len(program) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            level,
            0 if log is None else _LOG_SIZE,
            0 if log is None else ctypes.addressof(log),
            0,
            0,
            name.encode("ascii")[: _NAME_SIZE - 1],
            0,
            kind.attach,
        )

    try:
        return Fd(_call(_BpfCommand.PROG_LOAD, attributes(0, None))[0])
    except OSError as error:
        refusal = error
    # Only a refused program is worth the log, which costs more than the verification.
    log = ctypes.create_string_buffer(_LOG_SIZE)
    with contextlib.suppress(OSError):
        return Fd(_call(_BpfCommand.PROG_LOAD, attributes(1, log))[0])
    words = " / ".join(log.value.decode("ascii", "replace").strip().splitlines()[-2:])
    raise OSError(refusal.errno, f"the kernel refused the program: {words or refusal.strerror}", name)


def attach(group: int, kind: ProgramKind, program: int, *, instead_of: int | None = None) -> None:
    """Attach a program to the control group behind fd `group`, beside others; or put it in another's place at once.

    Programs of a group and those of the groups above are all asked, and all must agree.
    """
    flags = _ALLOW_MULTI | (_REPLACE if instead_of is not None else 0)
    _call(_BpfCommand.PROG_ATTACH, struct.pack("=IIIII", group, program, kind.attach, flags, instead_of or 0))


def attached(group: int, kind: ProgramKind) -> list[int]:
    """Return the ids of the programs attached to a control group itself."""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    wish = struct.pack("=IIIIQI", group, kind.attach, 0, 0, ctypes.addressof(ids), _MOST_PROGRAMS)
    _, answer = _call(_BpfCommand.PROG_QUERY, wish)
    return list(ids[: struct.unpack_from("=I", answer, _QUERY_COUNT_OFFSET)[0]])


def program_by_id(identity: int) -> Fd:
    """Return an fd of a loaded program; the caller closes it."""
    return Fd(_call(_BpfCommand.PROG_GET_FD_BY_ID, struct.pack("=III", identity, 0, 0))[0])


def program_name(program: int) -> str:
    """Return the name that a program behind an fd was loaded with."""
    information = ctypes.create_string_buffer(_INFORMATION_SIZE)
    _call(
        _BpfCommand.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _INFORMATION_SIZE, ctypes.addressof(information))
    )
    return information.raw[_NAME_OFFSET : _NAME_OFFSET + _NAME_SIZE].split(b"\0", 1)[0].decode("ascii", "replace")


class LoadedPrograms:
    """Programs that the kernel has verified once, for as many groups as want the same: the latest few."""

    def __init__(self) -> None:
        self._fds: OrderedDict[tuple[ProgramKind, bytes, str], Fd] = OrderedDict()

    def fd(self, kind: ProgramKind, program: bytes, name: str) -> Fd:
        """Return an fd of a program, which stays ours. Raises: as `load_program`."""
        key = (kind, program, name)
        fd = self._fds[key] if key in self._fds else load_program(kind, program, name)
        self._fds[key] = fd
        self._fds.move_to_end(key)
        if len(self._fds) > _KEPT_PROGRAMS:
            _, oldest = self._fds.popitem(last=False)
            os.close(oldest)
        return fd

    def close(self) -> None:
        """Let go of them; where they are attached they stay."""
        while self._fds:
            os.close(self._fds.popitem()[1])


_KEPT_PROGRAMS = 16


def put_in_place(
    directory: str, kind: ProgramKind, program: bytes, name: str, loaded: LoadedPrograms | None = None
) -> None:
    """Give a control group this program instead of the one of the same name it may have; never is there none.

    loaded: has the program, or loads it for others too. Raises: OSError; EPERM without the privilege for BPF.
    """
    with contextlib.ExitStack() as close:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        close.callback(os.close, group)
        if loaded is None:
            loaded = LoadedPrograms()
            close.callback(loaded.close)
        fresh = loaded.fd(kind, program, name)
        old: Fd | None = None
        for identity in attached(group, kind):
            try:
                candidate = program_by_id(identity)
            except FileNotFoundError:
                continue  # detached since
            close.callback(os.close, candidate)
            if program_name(candidate) == name[: _NAME_SIZE - 1]:
                old = candidate
        try:
            attach(group, kind, fresh, instead_of=old)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            attach(group, kind, fresh)
