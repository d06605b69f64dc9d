"""libvirt's typed parameters: named values whose type is part of the interface, and the table of those we accept."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from insula.errors import ArgumentUnsupportedError, InvalidArgumentError
from insula.model.numbers import ParameterType

Value = int | float | str


class Parameter(NamedTuple):
    """One named value. A tuple, because bulk statistics make tens of thousands of them a call."""

    name: str
    kind: ParameterType
    value: Value


def checked(parameters: Iterable[Parameter], table: Mapping[str, ParameterType]) -> dict[str, Value]:
    """Return the values by name, once each is known to the table and of its type.

    Raises: ArgumentUnsupportedError for a name that is not in the table, InvalidArgumentError for a wrong type or a
    name given twice: as libvirt does.
    """
    values: dict[str, Value] = {}
    for name, kind, value in parameters:
        wanted = table.get(name)
        if wanted is None:
            raise ArgumentUnsupportedError(f"parameter '{name}' not supported; known are {', '.join(table)}")
        if kind is not wanted:
            raise InvalidArgumentError(
                f"invalid type '{kind.name.lower()}' for parameter '{name}', expected '{wanted.name.lower()}'"
            )
        if name in values:
            raise InvalidArgumentError(f"parameter '{name}' occurs multiple times")
        values[name] = value
    return values
