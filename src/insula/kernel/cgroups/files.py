"""Control files: one short text a file, one write a change; and how their formats are read.

Every OSError says what was tried and on which file. Source: kernel document `admin-guide/cgroup-v2`, section
"Interface Files".
"""

import errno
import os
from contextlib import suppress

_CHUNK = 16384
"""Bytes asked for at once."""
_NOT_THERE = (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV)


def read(path: str) -> str:
    """Return the text of a control file, its last newline cut.

    Raises: OSError; EOPNOTSUPP instead of ENOENT when the group is there and only the file is not: its controller is
    not enabled for this group, or this kernel does not have the file.
    """
    # Of a text that is made in one piece, the kernel gives all that is asked for; less is the end.
    return _read(path, _CHUNK)


def _read(path: str, least: int) -> str:
    """least: bytes that come at least while there is more."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _missing(path) from None
    try:
        text = more = os.read(fd, _CHUNK)
        while len(more) >= least:
            more = os.read(fd, _CHUNK)
            text += more
    except OSError as error:
        raise OSError(error.errno, f"reading: {os.strerror(error.errno or 0)}", path) from None
    finally:
        os.close(fd)
    return text.decode("ascii", "replace").rstrip("\n")


def read_if_there(path: str) -> str | None:
    """Return the text of a control file, or None where this kernel, or this group, does not have it."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def processes(group: str) -> list[int]:
    """Return the pids that a group lists as its own, none if it is not there."""
    try:
        return [int(each) for each in _read(f"{group}/cgroup.procs", 1).split()]  # a page at a time, at most
    except OSError as error:
        if error.errno in _NOT_THERE:
            return []
        raise


def write(path: str, *values: str) -> None:
    """Write each value into a control file, in one write(2) of its own.

    Raises: OSError with the text that was refused; EOPNOTSUPP when the group has no such file (see `read`).
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _missing(path) from None
    value = ""
    try:
        for value in values:
            os.write(fd, value.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, f"writing '{value}': {os.strerror(error.errno or 0)}", path) from None
    finally:
        os.close(fd)


def write_if_there(path: str, value: str) -> None:
    """Write value as `write` does, unless this kernel, or this group, does not have the file."""
    try:
        write(path, value)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def exists(path: str) -> bool:
    """Whether a control file is there to be used."""
    return os.access(path, os.F_OK)


def _missing(path: str) -> OSError:
    directory = os.path.dirname(path)
    if os.path.isdir(directory):
        return OSError(
            errno.EOPNOTSUPP, "no such control file: this kernel lacks it or its controller is not enabled here", path
        )
    return OSError(errno.ENOENT, "no such control group", directory)


def number(text: str) -> int | None:
    """Return a limit's number, None for `max`."""
    return None if text.strip() == "max" else int(text)


def flat_keyed(text: str) -> dict[str, int]:
    """Return `key number` lines, as in memory.stat or cpu.stat; other lines are left out."""
    words = text.split()
    if len(words) == 2 * len(text.splitlines()):
        with suppress(ValueError):  # lines of other lengths that make up for each other
            return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def nested_keyed(text: str) -> dict[str, dict[str, str]]:
    """Return `name key=value key=value` lines, as in io.stat, io.max or memory.pressure."""
    lines = (line.split() for line in text.splitlines() if line)
    return {words[0]: dict(word.split("=", 1) for word in words[1:] if "=" in word) for words in lines}
