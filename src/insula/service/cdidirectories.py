"""The host's descriptions of devices: where the Container Device Interface keeps them, and which of them counts.

A device of a later directory hides that of an earlier one. One that two files of one directory describe is neither's,
and asking for it is refused. Files and directories that others than root could write say nothing.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from insula.conversion.cdidescription import SIZE_MAX, CdiDescription, CdiEdits, read_cdi
from insula.errors import InsulaError, InvalidArgumentError, UnsupportedConfigError
from insula.kernel.fds import Fd

_SUFFIXES = (".json", ".yaml")
_FILES_MAX = 512
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiDevices:
    """What is described. devices: by their whole names; conflicts: files that describe one, by its name; faults: what
    is wrong with a file or directory, by its path."""

    devices: Mapping[str, CdiEdits] = field(default_factory=dict)
    conflicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> CdiEdits | None:
        """Return a device, None for one that nobody describes.

        Raises: UnsupportedConfigError for one that two files of a directory describe.
        """
        if name in self.conflicts:
            raise UnsupportedConfigError(
                f"the CDI device '{name}' is described by {' and by '.join(self.conflicts[name])}: leave one of them"
            )
        return self.devices.get(name)


class CdiDirectories:
    """Reads them anew at each question; a file that is as it was is parsed once."""

    def __init__(self, directories: Sequence[Path]) -> None:
        """directories: in the order in which they count, the last one most."""
        self.directories = tuple(directories)
        self._known: dict[str, tuple[tuple[int, ...], CdiDescription]] = {}

    def read(self) -> CdiDevices:
        """Return what the host describes; blocks. What cannot be read is among the faults, and hinders nothing else."""
        devices: dict[str, CdiEdits] = {}
        conflicts: dict[str, tuple[str, ...]] = {}
        faults: dict[str, str] = {}
        seen = set[str]()
        for directory in self.directories:
            origins: dict[str, list[str]] = {}
            for path in self._files(directory, faults):
                seen.add(path)
                try:
                    description = self._description(path)
                except (OSError, InsulaError, UnicodeError) as error:
                    faults[path] = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                    continue
                for name, edits in description.devices.items():
                    whole = f"{description.kind}={name}"
                    origins.setdefault(whole, []).append(path)
                    devices[whole] = edits
            for whole, paths in origins.items():
                conflicts.pop(whole, None)
                if len(paths) > 1:
                    conflicts[whole] = tuple(paths)
        for path in set(self._known.copy()) - seen:  # a copy: starts in other threads add theirs
            self._known.pop(path, None)
        return CdiDevices(devices=devices, conflicts=conflicts, faults=faults)

    def _files(self, directory: Path, faults: dict[str, str]) -> Iterator[str]:
        try:
            _refuse_others(os.stat(directory))
            names = sorted(each for each in os.listdir(directory) if each.endswith(_SUFFIXES))
        except FileNotFoundError:
            return
        except (OSError, InvalidArgumentError) as error:
            faults[str(directory)] = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            return
        if len(names) > _FILES_MAX:
            faults[str(directory)] = f"it has {len(names)} files, of which the first {_FILES_MAX} are read"
        yield from (f"{directory}/{name}" for name in names[:_FILES_MAX])

    def _description(self, path: str) -> CdiDescription:
        found = Fd(os.open(path, os.O_PATH | os.O_CLOEXEC))
        try:
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidArgumentError("it is no file")
            _refuse_others(status)
            if status.st_size > SIZE_MAX:
                raise InvalidArgumentError(f"it has {status.st_size} bytes, more than {SIZE_MAX}")
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            with open(f"/proc/self/fd/{found}", "rb") as file:
                content = file.read(SIZE_MAX + 1)
        finally:
            os.close(found)
        description = read_cdi(content.decode(), yaml=path.endswith(".yaml"))
        self._known[path] = stamp, description
        return description


def _refuse_others(status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & _OTHERS_WRITE:
        raise InvalidArgumentError("others than root could write it: chown root:root it, and chmod go-w")
