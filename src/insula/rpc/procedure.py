"""A row of a program's table: what a procedure takes, gives, needs and is called.

A program's table is a class whose body holds one row a line; the attribute is the procedure's name:

    class Remote(ProcedureTable):
        program = RpcProgram.REMOTE
        DOMAIN_GET_STATE = call(212, "dom:dom flags:u", "state:i reason:i", "domain:read", HIGH)

The notation of arguments and results is that of `notation`, that of what a call needs to be allowed, of `permissions`.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, ClassVar, Final

from insula.rpc.frames import RpcProgram
from insula.rpc.notation import BodyCodec, record
from insula.rpc.permissions import FREE, Permission, needs


class Priority(Enum):
    """Whether a call may wait behind slow ones: `HIGH` never waits for a domain's lock."""

    NORMAL = "normal"
    HIGH = "high"


class Direction(Enum):
    """Which way a procedure's stream or file descriptors go."""

    TO_CLIENT = "server to client"
    TO_SERVER = "client to server"
    BOTH = "both ways"


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
    permissions_notation: what a call needs to be allowed.
    stream: the way of the stream that its reply opens, or None.
    fds: the way of the descriptors it carries, or None.
    sparse: the bits of its `flags` that allow holes in the stream, or 0.
    is_event: sent by the server unasked; `arguments` is then what it carries.
    """

    __slots__ = (
        "_api",
        "_only_looks",
        "arguments_notation",
        "fds",
        "is_event",
        "name",
        "number",
        "permissions_notation",
        "priority",
        "program",
        "results_notation",
        "sparse",
        "stream",
    )

    program: RpcProgram
    name: str

    def __init__(
        self,
        number: int,
        arguments: str,
        results: str,
        permissions: str,
        priority: Priority,
        *,
        stream: Direction | None = None,
        fds: Direction | None = None,
        sparse: int = 0,
        api: str | None = None,
        is_event: bool = False,
    ) -> None:
        self.number = number
        self.arguments_notation = arguments
        self.results_notation = results
        self.permissions_notation = permissions
        self.priority = priority
        self.stream = stream
        self.fds = fds
        self.sparse = sparse
        self._only_looks = _always_looks(permissions)
        self._api = api
        self.is_event = is_event

    def __set_name__(self, owner: "type[ProcedureTable]", name: str) -> None:
        self.program = owner.program
        self.name = name

    def __repr__(self) -> str:
        return f"{self.program.name}.{self.name}"

    @property
    def arguments(self) -> BodyCodec:
        """The codec of a call's body (of the message's body, if `is_event`), compiled at first use."""
        return record(self.arguments_notation)

    @property
    def results(self) -> BodyCodec:
        """The codec of a successful reply's body, compiled at first use."""
        return record(self.results_notation)

    @property
    def api(self) -> str:
        """The public API's name: what a "not supported" error names."""
        return self._api or api_name(self.name)

    @property
    def refers_to(self) -> str:
        """What kind of thing a call's first argument refers to, in the notation's word, such as `dom`."""
        return self.arguments_notation.partition(" ")[0].rpartition(":")[2]

    @property
    def takes_fds(self) -> bool:
        """Whether a call may carry file descriptors."""
        return self.fds in (TO_SERVER, BOTH)

    @property
    def gives_fds(self) -> bool:
        """Whether a reply may carry file descriptors."""
        return self.fds in (TO_CLIENT, BOTH)

    def permissions(self, arguments: Sequence[Any]) -> tuple[Permission, ...]:
        """What a call with these arguments needs to be allowed; nothing for what anybody may."""
        found = needs(self.permissions_notation)
        names = self.arguments.names if any(each.field for each in found) else ()
        return tuple(each.permission for each in found if each.holds(names, arguments))

    def only_looks(self, arguments: Sequence[Any]) -> bool:
        """Whether a call with these arguments changes nothing and tells no secret: what read-only connections may."""
        if self._only_looks is not None:
            return self._only_looks
        return all(each.only_looks for each in self.permissions(arguments))

    def allows_holes(self, arguments: Sequence[Any]) -> bool:
        """Whether the stream that a call with these arguments opens may have holes."""
        return bool(self.sparse) and bool(arguments[self.arguments.names.index("flags")] & self.sparse)


def _always_looks(permissions: str) -> bool | None:
    """Whether calls that need this only look; None where that depends on their arguments."""
    found = needs(permissions)
    if any(each.field is None and not each.permission.only_looks for each in found):
        return False
    return True if all(each.permission.only_looks for each in found) else None


class ProcedureTable:
    """A program's procedures, one attribute a row. A large one has its rows in several classes, and is made of them."""

    program: ClassVar[RpcProgram]
    rows: ClassVar[dict[int, Procedure]]

    def __init_subclass__(cls) -> None:
        parts = [vars(each) for each in reversed(cls.__mro__)]
        cls.rows = {row.number: row for part in parts for row in part.values() if isinstance(row, Procedure)}


def event(number: int, arguments: str) -> Procedure:
    """A row that the server sends unasked."""
    return Procedure(number, arguments, "", FREE, HIGH, is_event=True)


def call(
    number: int,
    arguments: str,
    results: str,
    permissions: str,
    priority: Priority = NORMAL,
    *,
    stream: Direction | None = None,
    fds: Direction | None = None,
    sparse: int = 0,
    api: str | None = None,
) -> Procedure:
    """A row that a client calls."""
    return Procedure(number, arguments, results, permissions, priority, stream=stream, fds=fds, sparse=sparse, api=api)


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
