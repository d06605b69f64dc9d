"""A row of a program's table: what a procedure takes, gives, needs and is called.

A program's table is a class whose body holds one row a line; the attribute is the procedure's name:

    class Remote(Table):
        program = Program.REMOTE
        DOMAIN_GET_STATE = call(212, "dom:dom flags:u", "state:i reason:i", READ, HIGH)

The notation of arguments and results is that of `notation`.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, ClassVar, Final

from insula.rpc.frames import Program
from insula.rpc.notation import Record, record


class Access(Enum):
    """What a connection must be allowed to do: a read-only one may call only `READ` rows.

    Decided as libvirt does: a public API that refuses read-only connections is `WRITE`.
    """

    READ = "read"
    WRITE = "write"


class Priority(Enum):
    """Whether a call may wait behind slow ones: `HIGH` never waits for a domain's lock."""

    NORMAL = "normal"
    HIGH = "high"


class Direction(Enum):
    """Which way a procedure's stream or file descriptors go."""

    TO_CLIENT = "server to client"
    TO_SERVER = "client to server"
    BOTH = "both ways"


READ: Final = Access.READ
WRITE: Final = Access.WRITE
NORMAL: Final = Priority.NORMAL
HIGH: Final = Priority.HIGH
TO_CLIENT: Final = Direction.TO_CLIENT
TO_SERVER: Final = Direction.TO_SERVER
BOTH: Final = Direction.BOTH


class Procedure:
    """One procedure of one program; complete once the table's class body has run, and never changed after.

    number: within its program.
    name: as in the protocol file, without the program's prefix.
    arguments_notation, results_notation: the bodies, as `notation` has them.
    access: `READ` rows may be called on a read-only connection (but see `refused_read_only`).
    stream: the way of the stream that its reply opens, or None.
    fds: the way of the descriptors it carries, or None.
    sparse: the bits of its `flags` that allow holes in the stream, or 0.
    is_event: sent by the server unasked; `arguments` is then what it carries.
    """

    __slots__ = (
        "_api",
        "_write_if",
        "access",
        "arguments_notation",
        "fds",
        "is_event",
        "name",
        "number",
        "priority",
        "program",
        "results_notation",
        "sparse",
        "stream",
    )

    program: Program
    name: str

    def __init__(
        self,
        number: int,
        arguments: str,
        results: str,
        access: Access,
        priority: Priority,
        *,
        stream: Direction | None = None,
        fds: Direction | None = None,
        sparse: int = 0,
        write_if: tuple[str, int] | None = None,
        api: str | None = None,
        is_event: bool = False,
    ) -> None:
        self.number = number
        self.arguments_notation = arguments
        self.results_notation = results
        self.access = access
        self.priority = priority
        self.stream = stream
        self.fds = fds
        self.sparse = sparse
        self._write_if = write_if
        self._api = api
        self.is_event = is_event

    def __set_name__(self, owner: "type[Table]", name: str) -> None:
        self.program = owner.program
        self.name = name

    def __repr__(self) -> str:
        return f"{self.program.name}.{self.name}"

    @property
    def arguments(self) -> Record:
        """The codec of a call's body (of the message's body, if `is_event`), compiled at first use."""
        return record(self.arguments_notation)

    @property
    def results(self) -> Record:
        """The codec of a successful reply's body, compiled at first use."""
        return record(self.results_notation)

    @property
    def api(self) -> str:
        """The public API's name: what a "not supported" error names."""
        return self._api or api_name(self.name)

    @property
    def takes_fds(self) -> bool:
        """Whether a call may carry file descriptors."""
        return self.fds in (TO_SERVER, BOTH)

    @property
    def gives_fds(self) -> bool:
        """Whether a reply may carry file descriptors."""
        return self.fds in (TO_CLIENT, BOTH)

    def refused_read_only(self, arguments: Sequence[Any]) -> bool:
        """Whether a read-only connection must be refused this call (some procedures only with certain flags)."""
        if self.access is WRITE:
            return True
        if self._write_if is None:
            return False
        field, bits = self._write_if
        return bool(arguments[self.arguments.names.index(field)] & bits)

    def allows_holes(self, arguments: Sequence[Any]) -> bool:
        """Whether the stream that a call with these arguments opens may have holes."""
        return bool(self.sparse) and bool(arguments[self.arguments.names.index("flags")] & self.sparse)


class Table:
    """A program's procedures, one attribute a row."""

    program: ClassVar[Program]
    rows: ClassVar[dict[int, Procedure]]

    def __init_subclass__(cls) -> None:
        cls.rows = {row.number: row for row in vars(cls).values() if isinstance(row, Procedure)}


def event(number: int, arguments: str) -> Procedure:
    """A row that the server sends unasked."""
    return Procedure(number, arguments, "", READ, HIGH, is_event=True)


def call(
    number: int,
    arguments: str,
    results: str,
    access: Access,
    priority: Priority = NORMAL,
    *,
    stream: Direction | None = None,
    fds: Direction | None = None,
    sparse: int = 0,
    write_if: tuple[str, int] | None = None,
    api: str | None = None,
) -> Procedure:
    """A row that a client calls."""
    return Procedure(
        number, arguments, results, access, priority, stream=stream, fds=fds, sparse=sparse, write_if=write_if, api=api
    )


_SPELLED: Final = {
    "CPU": "CPU",
    "DHCP": "DHCP",
    "FD": "FD",
    "FSFREEZE": "FSFreeze",
    "FSINFO": "FSInfo",
    "FSTHAW": "FSThaw",
    "FSTRIM": "FSTrim",
    "ID": "ID",
    "NWFILTER": "NWFilter",
    "NWFILTERS": "NWFilters",
    "OS": "OS",
    "SSH": "SSH",
    "URI": "URI",
    "UUID": "UUID",
    "XML": "XML",
}
"""Words that the public names do not write in plain camel case."""


def api_name(name: str) -> str:
    """The public API of a procedure: `vir` and the name in camel case, with libvirt's own spellings.

    `DOMAIN_GET_XML_DESC` becomes `virDomainGetXMLDesc`.
    """
    spelled: Callable[[str], str] = lambda word: _SPELLED.get(word) or word.capitalize()  # noqa: E731
    return "vir" + "".join(map(spelled, name.split("_")))
