"""What the view's server asks of the content that it shows, and what the content is told about a guest.

The server (`view.server`) speaks FUSE with the kernel and knows no file; a `ViewedTree` knows every file and no FUSE.
All calls come from one thread, and none may wait: a tree reads files of the kernel's, of the host's /proc, /sys and
control groups, nothing of a guest's.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final, Protocol

from insula.kernel.cgroups.hierarchies import Hierarchies, V1Hierarchy


class ViewedKind(Enum):
    """What stands at a path of a view."""

    DIRECTORY = "directory"
    FILE = "file"
    """Read only; its content is made anew for each opener, at its first read."""
    LINK = "link"
    STREAM = "stream"
    """Read, waited for and perhaps written, as /dev/kmsg is."""


class WouldBlockType(Enum):
    """The type of `WOULD_BLOCK`."""

    WOULD_BLOCK = "would block"


WOULD_BLOCK: Final = WouldBlockType.WOULD_BLOCK
"""There is nothing to read now: the server lets the reader wait, or says EAGAIN to one that does not wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewedIds:
    """count ids that begin with `inside` are, on the host, those that begin with `outside`."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewedGuest:
    """A guest as the content is told about it; survives JSON. Limits and use are read from its control groups, at each
    reading, so a live change of a limit needs no word.

    uuid, launch: whose view it is, of which start; name: the domain's; hierarchies: the control group hierarchies of
    the host, as in `kernel.cgroups`; group: the guest's group below each of them, the one with the limits (v2 guests
    live in `group/payload`); pid: its init on the host; born: init's start time in clock ticks since boot; boottime:
    seconds added to its CLOCK_BOOTTIME by a time namespace; uids, gids: its id map, empty for a privileged guest.
    """

    uuid: str
    launch: str
    name: str
    hierarchies: Hierarchies
    group: str
    pid: int
    born: int
    boottime: int = 0
    uids: tuple[ViewedIds, ...] = ()
    gids: tuple[ViewedIds, ...] = ()

    @property
    def root(self) -> tuple[int, int]:
        """The host's uid and gid of the guest's root."""
        return _outside_of_root(self.uids), _outside_of_root(self.gids)

    def encode(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return asdict(self)

    @staticmethod
    def decode(data: Mapping[str, Any]) -> "ViewedGuest":
        """Return what `encode` made data from; fields of later versions are passed over. Raises: ValueError."""
        try:
            tree = data["hierarchies"]
            return ViewedGuest(
                uuid=str(data["uuid"]),
                launch=str(data["launch"]),
                name=str(data["name"]),
                hierarchies=Hierarchies(
                    v1=tuple(
                        V1Hierarchy(mount=each["mount"], controllers=tuple(each["controllers"])) for each in tree["v1"]
                    ),
                    v2=tree["v2"],
                    v2_controllers=tuple(tree["v2_controllers"]),
                    delegate=tuple(tree["delegate"]),
                ),
                group=str(data["group"]),
                pid=int(data["pid"]),
                born=int(data["born"]),
                boottime=int(data.get("boottime", 0)),
                uids=_decoded_ids(data.get("uids", ())),
                gids=_decoded_ids(data.get("gids", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no guest of a view: {type(error).__name__}: {error}") from error


def _decoded_ids(data: Sequence[Mapping[str, Any]]) -> tuple[ViewedIds, ...]:
    return tuple(
        ViewedIds(inside=int(each["inside"]), outside=int(each["outside"]), count=int(each["count"])) for each in data
    )


def _outside_of_root(ids: tuple[ViewedIds, ...]) -> int:
    return next((each.outside for each in ids if each.inside == 0), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamWriter:
    """Who writes to a stream. pid, uid: the host's; pid is 0 if it is of no process that the host knows."""

    pid: int
    uid: int


class ViewedStream(Protocol):
    """A file that is read as a stream, as /dev/kmsg is. A handle is one opener's place, of any type.

    Raises, in each: OSError, whose errno the opener is told.
    """

    def open(self, *, taken: int | None = None) -> object:
        """Return a handle. taken: bytes that its opener has read already, from a view that has ended since; None for
        a new opener."""

    def read(self, handle: object, size: int) -> "bytes | WouldBlockType":
        """Return at most so many bytes; b"" is the end of the file."""

    def write(self, handle: object, data: bytes, writer: StreamWriter) -> int:
        """Take bytes; return how many."""

    def seek(self, handle: object, offset: int, whence: int) -> int:
        """Set the place, as lseek(2) says; return what that returns."""

    def readable(self, handle: object) -> bool:
        """Whether a read would not block: asked for poll(2), and after each `ViewedContent.stirred`."""

    def close(self, handle: object) -> None:
        """Let go of a handle."""


class ViewedTree(Protocol):
    """The files of one guest's view, read only. Paths have no slash at either end; "" is the root.

    Such as `proc/meminfo`, `proc/pressure/cpu`, `sys/devices/system/cpu/online`, `dev/kmsg`. Only the kinds of paths
    that exist are kept, so a tree should be finite. Raises, in each: OSError, whose errno the reader is told;
    FileNotFoundError for what is there no more.
    """

    def kind(self, path: str) -> ViewedKind | None:
        """Return what stands there, None for nothing."""

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a directory."""

    def content(self, path: str) -> bytes:
        """Return what a file says now."""

    def target(self, path: str) -> str:
        """Return what a link leads to, such as `../../node/node0`."""

    def stream(self, path: str) -> ViewedStream:
        """Return the stream at a path; the same one for all openers of it."""

    def tell(self, text: str) -> None:
        """Write a line of the host's into the guest's kernel log, such as `memory limit: 512 MiB`; the server then asks
        which handles are readable."""

    def close(self) -> None:
        """Let go of all descriptors: the guest has ended, or is described anew."""


KEPT_BYTES: Final = 160 * 1024
"""Of the memory file that goes with a guest from its start to its end, whichever view serves it: the content's part."""


class ViewedContent(Protocol):
    """Makes the trees of all guests, and has what they share."""

    def tree(self, guest: ViewedGuest, kept: int | None) -> ViewedTree:
        """Return a guest's tree. kept: a memory file whose first `KEPT_BYTES`, zeros at the guest's start, are for what
        later views have to know (its kernel log, times that may not go backwards); it is mapped, and stays the
        caller's. None: nothing outlasts this view."""

    def wakes(self) -> Sequence[int]:
        """Return descriptors that are readable when there is something to do for some guest: the host's kernel log, and
        a timer. They are the content's own, the same ones from the beginning."""

    def stirred(self, descriptor: int) -> Sequence[ViewedTree]:
        """Do that; return the trees whose handles may have become readable."""

    def close(self) -> None:
        """Let go of what is shared."""


def missing(path: str) -> FileNotFoundError:
    """Return what a tree raises for a path that it has not."""
    return FileNotFoundError(errno.ENOENT, "no such file in the view", path)
