"""What a call needs to be allowed, in libvirt's words: an object and a permission on it, some only with certain flags.

    domain:start                            always
    domain:read_secure?flags&0x9            if one of these bits of the argument `flags` is set
    domain:save?flags!0x3                   if none of them is

A row's permissions stand one behind the other; a call needs all of them. Those that only look are `getattr`, `read` and
`search_…`: a read-only connection has these on everything, and no other. That is what libvirt's policy gives everybody.
Source: libvirt's documentation of its access control, and the annotations of remote_protocol.x.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from re import compile as pattern
from typing import Any, Final, NamedTuple

FREE: Final = ""
"""Nothing needs to be allowed: authentication, and good-bye."""
CHANGE: Final = "domain:write domain:save?flags&0x2 domain:save?flags!0x3"
"""Changing a domain as its flags say: who changes what is kept, or may do so, needs to be allowed to save too."""

_NEED = pattern(r"(?P<object>[a-z_]+):(?P<name>[a-z_]+)(?:\?(?P<field>\w+)(?P<sign>[&!])0x(?P<bits>[0-9a-f]+))?")
_LOOKS = frozenset({"getattr", "read"})


class Permission(NamedTuple):
    """What may be done to which kind of object."""

    object: str
    name: str

    def __str__(self) -> str:
        return f"{self.object}:{self.name}"

    @property
    def only_looks(self) -> bool:
        """Whether nothing is changed, and nothing secret told, by whoever has it."""
        return self.name in _LOOKS or self.name.startswith("search_")


class Need(NamedTuple):
    """One permission that calls need. field: of the arguments, whose bits are looked at, None for always.

    clear: whether they are to be clear.
    """

    permission: Permission
    field: str | None = None
    bits: int = 0
    clear: bool = False

    def holds(self, names: Sequence[str], arguments: Sequence[Any]) -> bool:
        """Whether a call with these arguments, which have these names, needs it."""
        if self.field is None:
            return True
        return bool(arguments[names.index(self.field)] & self.bits) is not self.clear


@cache
def needs(notation: str) -> tuple[Need, ...]:
    """Return what a row's notation says. Raises: ValueError for what means nothing."""
    return tuple(_each(notation))


def _each(notation: str) -> Iterator[Need]:
    for word in notation.split():
        found = _NEED.fullmatch(word)
        if found is None:
            raise ValueError(f"'{word}' is no permission")
        permission = Permission(found["object"], found["name"])
        if found["field"] is None:
            yield Need(permission)
        else:
            yield Need(permission, found["field"], int(found["bits"], 16), found["sign"] == "!")
