"""The look that writes the archive: a tar of ELF cores, one a process, and a list of them. See `engine.look.looks`.

    processes.json   for each process: its number inside, program, arguments, file, what is missing
    12-nginx.core    such as gdb reads, and so on

It is no visit: it looks from outside, by the guest's directories in /proc, and stops processes as a debugger does.
"""

import errno
import json
import os
import re
import signal
import struct
import tarfile
import time
from collections.abc import Mapping
from typing import Any

from insula.engine.dump.elfcore import is_known
from insula.engine.dump.guesttracer import GuestTracer
from insula.engine.dump.processcore import ProcessCore, ProcessDirectory, level_of
from insula.kernel.cgroups import tree
from insula.kernel.fds import Fd

PROGRESS = struct.Struct("<QQ")
"""Bytes of memory that there are to be written, and that are: at the beginning of the file `progress`."""
_MARGIN = 64 << 20
"""Bytes that stay free on the disk."""
_BLOCK = 512
_ENDED = (FileNotFoundError, ProcessLookupError)


def dump_tree(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """group: the guest's directory of control groups; init: its first process; live: one process after another stands
    still, not all at once; fds file, where the archive goes, and progress → processes: how many; bytes; incomplete: how
    many cores lack something. Raises: OSError(ENOSPC) before anything is written if there is no room for it."""
    if not is_known():
        raise OSError(errno.EOPNOTSUPP, f"cores of {os.uname().machine} are not known")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tracer = GuestTracer(arguments["group"])
    try:
        if not arguments["live"]:
            tracer.stop_all()
        archive = _Archive(
            fds["file"], fds["progress"], tracer, live=arguments["live"], level=level_of(arguments["init"])
        )
        return archive.write(arguments["group"])
    finally:
        tracer.release_all()


class _Archive:
    """The archive as it is written. live: a process goes on as soon as its own core is written; level: as for
    `ProcessDirectory`."""

    def __init__(self, file: Fd, progress: Fd, tracer: GuestTracer, *, live: bool, level: int) -> None:
        self._file = file
        self._progress = progress
        self._tracer = tracer
        self._live = live
        self._level = level
        self._total = self._done = 0

    def write(self, group: str) -> dict[str, Any]:
        """Write it all. Raises: OSError."""
        pids = sorted(tree.processes_below(group))
        self._total = sum(_resident(each) for each in pids)
        self._require(self._total)
        self._tell()
        listed = [found for pid in pids if (found := self._process(pid)) is not None]
        if not listed:
            raise ProcessLookupError(errno.ESRCH, "the guest has ended")
        text = json.dumps(listed, indent=1).encode() + b"\n"
        self._begin("processes.json", len(text))
        self._put(text)
        self._fill(len(text))
        self._put(bytes(2 * _BLOCK))
        os.fsync(self._file)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        incomplete = sum(bool(each["missing"]) for each in listed)
        return {"processes": len(listed), "bytes": os.fstat(self._file).st_size, "incomplete": incomplete}

    def _process(self, pid: int) -> dict[str, Any] | None:
        """Write one process; return what the list says of it, None if it has ended, or is none of the guest's."""
        try:
            directory = ProcessDirectory(pid, level=self._level)
        except _ENDED:
            return None
        try:
            if not self._tracer.stopped(pid):
                self._tracer.stop(pid)
            threads = self._tracer.stopped(pid)
            core = directory.core(threads) if threads else None
            return None if core is None else self._written(directory, core)
        except _ENDED:
            return None
        finally:
            directory.close()
            if self._live:
                self._tracer.release(pid)

    def _written(self, directory: ProcessDirectory, core: ProcessCore) -> dict[str, Any]:
        """Write one core. Once it has begun, nothing but the disk ends it: its size has been said."""
        state, before, size = core.state, core.head(), core.size
        self._require(size)
        name = f"{state.pid}-{_file_name(state.name)}.core"
        self._begin(name, size)
        self._put(before)
        lost = directory.write_memory(core, self._put_memory)
        self._fill(size)
        missing = []
        if core.known < len(state.threads):
            missing.append(
                f"registers of {len(state.threads) - core.known} threads, which did not stop or are traced inside"
            )
        if lost:
            missing.append(f"{lost} bytes of memory, which could not be read")
        return {
            "pid": state.pid,
            "uid": state.uid,
            "program": state.name.decode(errors="replace"),
            "arguments": [each.decode(errors="replace") for each in state.arguments.split(b"\0") if each],
            "threads": [each.tid for each in state.threads],
            "file": name,
            "bytes": size,
            "missing": missing,
        }

    def _begin(self, name: str, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(time.time())
        self._put(member.tobuf(tarfile.PAX_FORMAT))

    def _fill(self, size: int) -> None:
        self._put(bytes(-size % _BLOCK))

    def _put_memory(self, data: bytes | bytearray) -> None:
        self._put(data)
        self._done += len(data)
        self._tell()

    def _put(self, data: bytes | bytearray) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def _tell(self) -> None:
        os.pwrite(self._progress, PROGRESS.pack(max(self._total, self._done), self._done), 0)

    def _require(self, size: int) -> None:
        """Raises: OSError(ENOSPC) unless the disk has room for so many bytes, and some more."""
        disk = os.fstatvfs(self._file)
        free = disk.f_bavail * disk.f_frsize
        if size + _MARGIN > free:
            raise OSError(
                errno.ENOSPC, f"it needs {size >> 20} MiB and some room beside it, and {free >> 20} MiB are free there"
            )


def _resident(pid: int) -> int:
    try:
        directory = ProcessDirectory(pid)
    except _ENDED:
        return 0
    try:
        return directory.resident()
    except OSError:
        return 0
    finally:
        directory.close()


def _file_name(program: bytes) -> str:
    """The name of a program as a file may be called: it is the guest's choice."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", program.decode(errors="replace")) or "_"
