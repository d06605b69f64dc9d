"""A system call that failed, as a trace saw it: plain values, which travel from the tracer to who judges them."""

from dataclasses import dataclass

PARENT_SHOWN = "?"
"""The kind of a file that is not there: what is told besides is of the directory in which it would be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenFile:
    """A file that a call was about, as it stood in the caller's tree right after the call.

    argument: which of the call's arguments named it; path: as the guest has it; kind: c, b, d, l, p, s, - for a plain
    file, PARENT_SHOWN for none; mode: its permission bits; uid, gid: its owner, by the host's numbers; major, minor: of
    a device node; mounted: the kind of its file system; point, root, options, super_options: of its mount, as
    `kernel.mountinfo` has them.
    """

    argument: int
    path: str
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    major: int = 0
    minor: int = 0
    mounted: str = ""
    point: str = ""
    root: str = ""
    options: str = ""
    super_options: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallingProcess:
    """Who made a call. pid: as the guest has it; uid, gid: effective ones, by the host's numbers.

    effective, bounding: capabilities; nested: it lives in a user namespace that the guest has made; filters: how many
    filters hold it, None where the kernel does not tell; label: of a security module, empty for none; limits: name,
    soft and hard of each resource limit, None for infinity; descriptors: how many it had open.
    """

    pid: int
    program: str
    uid: int
    gid: int
    effective: frozenset[str]
    bounding: frozenset[str]
    nested: bool = False
    filters: int | None = None
    label: str = ""
    limits: tuple[tuple[str, int | None, int | None], ...] = ()
    descriptors: int = 0

    def limit(self, name: str) -> int | None:
        """Return its soft limit of that name, None for infinity or one that was not read."""
        return next((soft for known, soft, _ in self.limits if known == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedCall:
    """One call that failed, or several alike. architecture: as linux/audit.h numbers it; name: empty for a number that
    is not known; shown: the call as people write it; texts: those of its arguments that are texts, by their places;
    times: how often it failed so; order: where in the trace the last one was; mattered: whether it was what the
    command failed by, as far as a trace tells.
    """

    name: str
    architecture: int
    number: int
    arguments: tuple[int, ...]
    errno: int
    shown: str
    caller: CallingProcess
    files: tuple[SeenFile, ...] = ()
    texts: tuple[tuple[int, str], ...] = ()
    times: int = 1
    order: int = 0
    mattered: bool = False

    def text(self, argument: int) -> str:
        """Return an argument that is a text, empty if it is none."""
        return next((text for place, text in self.texts if place == argument), "")

    def file(self, argument: int | None = None) -> SeenFile | None:
        """Return what an argument named, or the first file that any did."""
        return next((each for each in self.files if argument in (None, each.argument)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What a traced command came to. status: its wait status, None if its end was not seen; calls: those that failed,
    in their order; overlooked: how many more there were than are told; silent: a file system of the guest's did not
    answer, so that of that call, and of all later ones, nothing is known but the call itself."""

    status: int | None
    calls: tuple[RefusedCall, ...] = ()
    overlooked: int = 0
    silent: bool = False
