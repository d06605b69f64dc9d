"""Disks of domains: how large they are, and making one larger while its guest runs."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from insula.engine.spec import Bytes
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.kernel.loopdevices import follow_size, loops_over
from insula.model.filesystems import DiskType
from insula.service.managed import ManagedDomain
from insula.service.statistics import disk_of, number_of, source_of

_SECTOR = 512
_LARGEST = (1 << 63) - _SECTOR
"""What an off_t can tell, in whole sectors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskSize:
    """In bytes. allocation: what it takes on the host; capacity: what the guest sees; physical: what is behind it."""

    allocation: int
    capacity: int
    physical: int


class DiskVerbs:
    async def size(self, managed: ManagedDomain, path: str) -> DiskSize:
        """Return how large a disk is, named by its target or source, whether the guest runs or not.

        Raises: InvalidArgumentError for a disk that the domain has not; OperationFailedError.
        """
        source = source_of(disk_of(managed, path))
        try:
            return await in_own_thread(partial(_size, source))
        except OSError as error:
            raise OperationFailedError(f"the disk '{path}' of domain '{managed.name}': {error}") from error

    async def sizes(self, sources: Sequence[str]) -> Mapping[str, DiskSize]:
        """Return how large disks are, by their sources; one that cannot be looked at is left out."""
        return await in_own_thread(partial(_sizes, sources))

    async def enlarge(self, managed: ManagedDomain, path: str, size: Bytes) -> None:
        """Make the image behind a disk larger, and the guest's device with it.

        Raises: OperationInvalidError if it does not run; OperationUnsupportedError for what is not an image that the
        guest may write to, or if it would lose what is at its end; OperationFailedError.
        """

        async def work() -> None:
            managed.require_run()
            disk = disk_of(managed, path)
            name = f"the disk '{disk.target.device}' of domain '{managed.name}'"
            if disk.type is not DiskType.FILE:
                raise OperationUnsupportedError(f"{name} is a device of the host, which alone can make it larger")
            if disk == managed.current.root_disk:
                raise OperationUnsupportedError(
                    f"{name} has its root, which stays as large as it is while it runs: enlarge the image while it "
                    "is off (truncate or qemu-img resize, then resize2fs or the like)"
                )
            number = number_of(managed, disk)
            try:
                await in_own_thread(partial(_enlarge, name, source_of(disk), number, size))
            except OSError as error:
                raise OperationFailedError(f"{name} stays as large as it is: {error}") from error

        await managed.lock.perform("change of a disk's size", work)


def _sizes(paths: Sequence[str]) -> dict[str, DiskSize]:
    found = {}
    for path in paths:
        with suppress(OSError):
            found[path] = _size(path)
    return found


def _size(path: str) -> DiskSize:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status, end = os.fstat(fd), os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
    return DiskSize(allocation=status.st_blocks * _SECTOR or end, capacity=end, physical=end)


def _enlarge(name: str, path: str, number: tuple[int, int], size: int) -> None:
    size = -(-size // _SECTOR) * _SECTOR
    nodes = [node for node, writable in loops_over(path) if writable and _number(node) == number]
    if not nodes:
        raise OperationUnsupportedError(f"{name}: another file is called '{path}' by now, or it is read-only")
    present = os.stat(path).st_size
    if size > _LARGEST:
        raise OperationUnsupportedError(f"{name} cannot have {size} bytes: no file has more than {_LARGEST}")
    if size < present:
        raise OperationUnsupportedError(f"{name} has {present} bytes: to cut some off would cut off what is there")
    os.truncate(path, size)
    follow_size(nodes[0])


def _number(node: str) -> tuple[int, int]:
    status = os.stat(node)
    return os.major(status.st_rdev), os.minor(status.st_rdev)
