"""Files of other programs' configuration, read by whoever asks and with their rights: the daemon opens none of them."""

import glob
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from insula.conversion.foreigndocument import SIZE_MAX
from insula.conversion.lxcsyntax import INCLUDES_MAX, lxc_files
from insula.errors import InvalidArgumentError

STANDARD_INPUT = "-"


def _no_files(_text: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigSource:
    """Where a format's documents lie. names: of the file, where a directory is given; files: what a document names."""

    names: tuple[str, ...] = ()
    files: Callable[[str], Sequence[str]] = _no_files


SOURCES: Mapping[str, ConfigSource] = {
    "lxc-tools": ConfigSource(names=("config",), files=lxc_files),
    "openvz": ConfigSource(),
    "oci": ConfigSource(names=("config.json",)),
    "nspawn": ConfigSource(),
    "incus": ConfigSource(names=("index.yaml", "backup.yaml")),
}
"""By the formats' names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatheredConfig:
    """A document with what it names. path: None for one from standard input."""

    text: str
    path: str | None
    others: Mapping[str, str]


def gather(source: ConfigSource, place: str) -> GatheredConfig:
    """Return the document at place, a file, a directory that has it, or `-`.

    A file that it names and that is not there is left out: the conversion names it.
    Raises: InvalidArgumentError for what cannot be read, is no text, or is too much.
    """
    if place == STANDARD_INPUT:
        text = _decoded(sys.stdin.buffer.read(SIZE_MAX + 1), "standard input")
        return GatheredConfig(text=text, path=None, others={})
    path = Path(place).absolute()
    if path.is_dir():
        path = next((path / each for each in source.names if (path / each).exists()), path)
    text = _read(path)
    others: dict[str, str] = {}
    waiting = [text]
    while waiting:
        found = waiting.pop()
        for each in _files_of(source.files(found), path.parent):
            if str(each) in others or each == path:
                continue
            if len(others) == INCLUDES_MAX or sum(map(len, others.values())) > SIZE_MAX:
                raise InvalidArgumentError(f"'{path}' names more than {INCLUDES_MAX} files, or very large ones")
            others[str(each)] = _read(each)
            waiting.append(others[str(each)])
    return GatheredConfig(text=text, path=str(path), others=others)


def _files_of(wanted: Iterable[str], base: Path) -> Iterable[Path]:
    """Yield the files that are there of those wanted: a directory means its files that end in .conf."""
    for each in wanted:
        path = Path(os.path.normpath(base / each))
        pattern = glob.escape(str(path)) + "/*.conf" if path.is_dir() else str(path)
        yield from (Path(found) for found in sorted(glob.glob(pattern)) if Path(found).is_file())


def _read(path: Path) -> str:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgumentError(f"'{path}' is no file")
            return _decoded(file.read(SIZE_MAX + 1), f"'{path}'")
    except OSError as error:
        raise InvalidArgumentError(f"cannot read '{path}': {error.strerror}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to is no reason to wait."""
    return os.open(path, flags | os.O_NONBLOCK)


def _decoded(data: bytes, what: str) -> str:
    if len(data) > SIZE_MAX:
        raise InvalidArgumentError(f"{what} has more than {SIZE_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{what} is no text in UTF-8: {error.reason} at byte {error.start}") from error
