"""File systems of guests that run: which there are and how full, written out while the guest stands still, trimmed."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from insula.engine.threads import in_own_thread
from insula.errors import (
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
)
from insula.kernel.mountinfo import Mount, mounts_of_process
from insula.model.visible import visible
from insula.service.guest import require_alive
from insula.service.guestvisits import GuestVisits
from insula.service.lifecycle import LifecycleVerbs
from insula.service.managed import ManagedDomain

FILESYSTEMS_MAX = 128
_NOT_KEPT = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"}
    | {"fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs"}
    | {"sysfs", "tmpfs", "tracefs"}
)
"""Kinds of file systems that keep nothing: the kernel's own, and those in memory."""
_OF_THE_KERNEL = ("/dev", "/proc", "/sys")
_SERVED = "fuse"
"""What a program of the guest's may serve, so that asking it may wait without end."""
_DEVICES = "/dev/"
_WRITING = 60.0
"""Seconds in which everything is to be on the disks."""
_TRIMMING = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestFilesystem:
    """A file system of a guest's. name: of its device, else of what was mounted; device: major:minor; whole: the guest
    has all of it, and a block device of its own is below; size, used: bytes, None where it does not say."""

    name: str
    point: str
    kind: str
    device: str
    whole: bool
    size: int | None = None
    used: int | None = None

    @property
    def shown(self) -> str:
        """Its mount point, as it is told to anybody."""
        return visible(self.point)

    @property
    def answers(self) -> bool:
        """Whether it can be asked without a program of the guest's."""
        return not self.kind.startswith(_SERVED)


def kept(mounts: Iterable[Mount]) -> list[GuestFilesystem]:
    """Return the file systems that keep something, by their mount points, of the mounts that a guest's init sees."""
    tops = {each.point: each for each in mounts}
    return [
        GuestFilesystem(
            name=visible(each.source.removeprefix(_DEVICES)),
            point=point,
            kind=visible(each.kind),
            device=each.device,
            whole=each.root == "/" and not each.device.startswith("0:"),
        )
        for point, each in sorted(tops.items())
        if each.kind not in _NOT_KEPT and not _is_below(point, _OF_THE_KERNEL)
    ][:FILESYSTEMS_MAX]


def _measured(filesystem: GuestFilesystem, sizes: Sequence[int] | None) -> GuestFilesystem | None:
    """Return it with its sizes, None for one that a single file is of."""
    if sizes is None:
        return None if filesystem.answers else filesystem
    return replace(filesystem, size=sizes[0], used=sizes[1])


def _is_below(point: str, directories: Sequence[str]) -> bool:
    return any(point == each or point.startswith(f"{each}/") for each in directories)


class GuestFilesystemVerbs:
    """Asks for guests' file systems, and does what is to be done to them."""

    def __init__(self, visits: GuestVisits, lifecycle: LifecycleVerbs) -> None:
        self._visits = visits
        self._lifecycle = lifecycle

    async def filesystems(self, managed: ManagedDomain) -> list[GuestFilesystem]:
        """Return those that keep something; without sizes where they do not answer.

        Raises: OperationInvalidError if the domain is off, or paused; OperationFailedError.
        """
        found = await self._mounted(managed)
        asked = [each.point for each in found if each.answers]
        try:
            sizes: Mapping[str, list[int]] = await self._visits.look(managed, "measure-mounts", {"points": asked})
        except OperationTimeoutError:
            return found
        measured = (_measured(each, sizes.get(each.point)) for each in found)
        return [each for each in measured if each is not None]

    async def freeze(self, managed: ManagedDomain, points: Sequence[str] = ()) -> int:
        """Let the guest stand still, and write out what its file systems have not written yet; return how many did.

        points: which of them are written out, all for none. Raises: OperationInvalidError if it is paused or off;
        InvalidArgumentError for a point where it has none; OperationUnsupportedError if it has none at all;
        OperationFailedError or OperationTimeoutError, and it goes on.
        """
        found = [each for each in await self.filesystems(managed) if each.answers]
        there = {each.shown: each.point for each in found} | {each.point: each.point for each in found}
        if unknown := [each for each in points if each not in there]:
            raise InvalidArgumentError(
                f"domain '{managed.name}' has no file system at {', '.join(map(repr, unknown))}; there are "
                f"{[each.shown for each in found]}"
            )
        if not found:
            raise OperationUnsupportedError(
                f"domain '{managed.name}' has no file system that keeps anything: pause it instead"
            )
        chosen = [there[each] for each in points] or [each.point for each in found]
        # Noted before they are written out: should the daemon die meanwhile, the guest can be thawed.
        run = await self._lifecycle.quiesce(managed, len(chosen))
        if run is None:
            raise OperationInvalidError(f"domain '{managed.name}' is paused: resume it first")
        try:
            await self._visits.look(managed, "sync-mounts", {"points": chosen}, frozen=True, seconds=_WRITING)
            if managed.run is not run or not run.record.quiesced:
                raise OperationFailedError(f"domain '{managed.name}' was resumed before everything was written out")
        except BaseException:
            with suppress(InsulaError):
                await self._lifecycle.unquiesce(managed, run)
            raise
        return len(chosen)

    async def thaw(self, managed: ManagedDomain) -> int:
        """Let a guest go on that `freeze` has let stand still; return how many file systems that freed, else 0."""
        return await self._lifecycle.unquiesce(managed, managed.require_run())

    async def trim(self, managed: ManagedDomain, point: str | None = None, *, least: int = 0) -> None:
        """Have the devices below file systems that are the guest's alone know which blocks are not used.

        point: of one, all for None; least: bytes of a piece that is worth it. Raises: OperationUnsupportedError if the
        guest has none, or no device can do it; InvalidArgumentError for a point where it has none.
        """
        found = [each for each in await self._mounted(managed) if point in (None, each.point, each.shown)]
        if point is not None and not found:
            raise InvalidArgumentError(f"domain '{managed.name}' has no file system at '{point}'")
        own = [{"point": each.point, "device": each.device} for each in found if each.whole]
        if not own:
            raise OperationUnsupportedError(
                f"domain '{managed.name}' shares the host's file systems, which the host trims; its own are those of "
                "<filesystem type='file'> and <filesystem type='block'>"
            )
        arguments = {"mounts": own, "least": least}
        trimmed = await self._visits.look(managed, "trim-mounts", arguments, frozen=True, seconds=_TRIMMING)
        if not trimmed:
            raise OperationUnsupportedError(
                f"no device below the file systems of domain '{managed.name}' can be trimmed"
            )

    async def _mounted(self, managed: ManagedDomain) -> list[GuestFilesystem]:
        container = managed.require_run().container
        try:
            mounts = await in_own_thread(partial(mounts_of_process, container.pid))
        except OSError as error:
            raise OperationFailedError(
                f"the file systems of domain '{managed.name}' cannot be read: {error.strerror}"
            ) from error
        require_alive(container)
        return kept(mounts)
