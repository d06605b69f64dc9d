"""Programs in words: what a person reads, and what golden files hold.

    12  openat2(r3, "dev/pts", &5, 0x18); again on EAGAIN; on ENOENT skip 4

Texts are shown as they are; other places in the data as &1, &2 and so on in the order in which they come, so that a
listing does not change with the length of what is in them.
"""

import errno
import json
from collections.abc import Iterator

from insula.engine.program.image import (
    ARGUMENTS,
    CHANNEL_OFFSET,
    COMPARE,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    RECORD,
    RECORD_SIZE,
    RESULT_OFFSET,
    STORE,
    ArgumentKind,
    RecordFlag,
)
from insula.engine.program.program import Program
from insula.kernel.callnumbers import call_numbers

_ARGUMENTS = {
    "capset": "..",
    "chdir": "t",
    "clone3": "..",
    "close": ".",
    "close_range": "...",
    "compare": "...",
    "dup3": "...",
    "execve": "t..",
    "exit_group": ".",
    "fchdir": ".",
    "fchown": "...",
    "fcntl": "...",
    "fsconfig": "..tt.",
    "fsmount": "...",
    "fsopen": "t.",
    "fstatfs": "..",
    "getpid": "",
    "ioctl": "...",
    "keyctl": "..",
    "mkdirat": ".t.",
    "mount_setattr": ".t...",
    "move_mount": ".t.t.",
    "newfstatat": ".t..",
    "open_tree": ".t.",
    "openat": ".t..",
    "openat2": ".t..",
    "pipe2": "..",
    "pivot_root": "tt",
    "prctl": ".....",
    "pread64": "....",
    "prlimit64": "....",
    "read": "...",
    "recvmsg": "...",
    "rt_sigaction": "....",
    "rt_sigprocmask": "....",
    "sendmsg": "...",
    "set_mempolicy": "...",
    "setgroups": "..",
    "sethostname": "t.",
    "setns": "..",
    "setresgid": "...",
    "setresuid": "...",
    "setsid": "",
    "socket": "...",
    "store": "..",
    "umask": ".",
    "umount2": "t.",
    "unlinkat": ".t.",
    "unshare": ".",
    "waitid": ".....",
    "write": ".c.",
}
"""The arguments of each call: t for a text, c for content as long as the next one says. Source: syscalls(2)."""


class Disassembly:
    """The lines of one image. machine: whose numbers it has, as uname says it; None for this one."""

    def __init__(self, image: bytes, *, machine: str | None = None) -> None:
        """Raises: ValueError if it is no image of this version."""
        self._image = image
        self._names = {number: name for name, number in call_numbers(machine).items()}
        self._names |= {COMPARE: "compare", STORE: "store"}
        self._places: dict[int, str] = {}
        if len(image) < HEADER.size:
            raise ValueError(f"not a program: it has {len(image)} bytes")
        magic, size, self._count, self._records, *_ = HEADER.unpack_from(image)
        if magic != MAGIC or size != len(image):
            raise ValueError("not a program of this version")

    def lines(self) -> Iterator[str]:
        """Yield a line for each record, without its index."""
        for index in range(self._count):
            number, kinds, flags, skip, passed, _, wanted, *arguments, _ = RECORD.unpack_from(
                self._image, self._records + RECORD_SIZE * index
            )
            name = self._names.get(number, str(number))
            shown = [
                self._content(arguments[position], arguments[position + 1])
                if kind == "c"
                else self._argument(kinds >> 2 * position & 3, arguments[position], text=kind == "t")
                for position, kind in enumerate(_ARGUMENTS.get(name, "." * ARGUMENTS))
            ]
            yield f"{name}({', '.join(shown)}){_judgement(flags, skip, passed, wanted)}"

    def _argument(self, kind: int, value: int, *, text: bool) -> str:
        if kind == ArgumentKind.RESULT:
            return f"r{value}"
        if kind == ArgumentKind.LOADED:
            return "channel" if value == CHANNEL_OFFSET else f"[{self._place(value)}]"
        if kind == ArgumentKind.POINTER:
            return self._text(value) if text else self._place(value)
        signed = value - (1 << 64) if value >> 63 else value
        return str(signed) if abs(signed) < 10 else hex(signed)

    def _place(self, offset: int) -> str:
        if offset == CHANNEL_OFFSET:
            return "&channel"
        record, inside = divmod(offset - HEADER_SIZE, RECORD_SIZE)
        if 0 <= record < self._count and inside == RESULT_OFFSET:
            return f"&r{record}"
        return self._places.setdefault(offset, f"&{len(self._places) + 1}")

    def _text(self, offset: int) -> str:
        return _quoted(self._image[offset : self._image.index(b"\0", offset)])

    def _content(self, offset: int, size: int) -> str:
        return _quoted(self._image[offset : offset + size])


def _quoted(content: bytes) -> str:
    return json.dumps(content.decode(errors="backslashreplace"), ensure_ascii=False)


def _judgement(flags: int, skip: int, passed: int, wanted: int) -> str:
    equal = f" = {errno.errorcode.get(-wanted, wanted)}" if flags & RecordFlag.EXACT else ""
    parts = []
    if flags & RecordFlag.WHATEVER:
        parts.append("whatever comes")
    if flags & RecordFlag.AGAIN:
        parts.append("again on EAGAIN")
    if flags & RecordFlag.PARENT_SKIPS:
        parts.append(f"the parent skips {skip}")
    if passed:
        parts.append(f"on {errno.errorcode.get(passed, passed)} " + (f"skip {skip}" if skip else "go on"))
    return equal + "".join(f"; {part}" for part in parts)


def listed(program: Program, *, machine: str | None = None) -> Iterator[str]:
    """Yield the lines of a program: each step's words, then its records with their indices."""
    marks: dict[int, list[str]] = {}
    for mark in program.marks:
        marks.setdefault(mark.index, []).append(mark.step)
    for index, line in enumerate(Disassembly(program.image, machine=machine).lines()):
        for step in marks.get(index, ()):
            yield f"# {step}"
        yield f"{index:4}  {line}"
