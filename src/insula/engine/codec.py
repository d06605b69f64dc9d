"""Values to JSON and back: frozen dataclasses of plain fields, enums, tuples, sets and unions of dataclasses.

A dataclass becomes an object; where the declared type is a union of several dataclasses the object says which one in
`kind`. Fields that hold their default are left out, so files stay readable and older ones stay valid.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Json = Any
"""What `json.dumps` takes."""

KIND = "kind"


def loads(text: str | bytes) -> Json:
    """Return what JSON text says. Raises: ValueError, for what is nested too deeply to be read as well."""
    try:
        return json.loads(text if isinstance(text, str) else text.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def encode(value: object, declared: object = None, *, known: Mapping[str, Json] = MappingProxyType({})) -> Json:
    """Return value as JSON-able data.

    declared: the type its place was declared with, to tell unions; known: fields of it that are encoded already.
    """
    kind: Any = type(value)
    if kind in _AS_IT_IS:
        return value
    fields = _fields(kind)
    if fields is not None:
        encoded: dict[str, Json] = {KIND: kind.__name__} if len(_members(declared)) > 1 else {}
        for field in fields:
            if field.name in known:
                encoded[field.name] = known[field.name]
                continue
            content = getattr(value, field.name)
            if not field.holds_default(content):
                encoded[field.name] = encode(content, field.declared)
        return encoded
    if isinstance(value, tuple | list):
        inner = _element_type(declared)
        return [encode(each, inner) for each in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | set):
        return sorted((encode(each) for each in value), key=str)
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} does not survive JSON")


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})
_REQUIRED = object()


class _Field(NamedTuple):
    """A dataclass's field: its declared type; its default, or what makes it."""

    name: str
    declared: Any
    default: object
    make_default: Callable[[], object] | None

    def holds_default(self, content: object) -> bool:
        """Whether a content need not be written."""
        if self.make_default is not None:
            return content == self.make_default()
        return content is self.default or (content == self.default and type(content) is type(self.default))


@cache
def _fields(kind: type) -> tuple[_Field, ...] | None:
    """Return the fields of a dataclass, None for any other type: what is encoded at every start is looked at once."""
    if not dataclasses.is_dataclass(kind):
        return None
    hints = _hints(kind)
    return tuple(
        _Field(
            name=each.name,
            declared=hints[each.name],
            default=_REQUIRED if each.default is dataclasses.MISSING else each.default,
            make_default=None if each.default_factory is dataclasses.MISSING else each.default_factory,
        )
        for each in dataclasses.fields(kind)
    )


def decode(declared: type[T], data: Json) -> T:
    """Return the value of the declared type that `encode` made data from.

    Raises: ValueError that says where data does not fit.
    """
    what: Any = declared
    result: T = _reader(what)(data, declared.__name__)
    return result


Reader = Callable[[Json, str], Any]
"""Makes a value of the JSON-able data at a place, which is named in what it raises."""


@cache
def _reader(declared: Any) -> Reader:
    """Return what reads a declared type: what a type says is found out once, for it takes longer than the reading."""
    declared = _plain(declared)
    members = _members(declared)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    read: Reader
    if len(members) > 1:
        read = partial(_decode_union, {each.__name__: each for each in members})
    elif members:
        read = partial(_decode_dataclass, members[0])
    elif isinstance(declared, type) and issubclass(declared, Enum):
        return partial(_decode_enum, declared)
    elif origin in (types.UnionType, typing.Union):
        remaining = [each for each in arguments if each is not type(None)]
        read = _reader(remaining[0]) if len(remaining) == 1 else _as_it_is
    elif origin is tuple and arguments[-1] is Ellipsis:
        read = partial(_decode_many, tuple, _reader(arguments[0]))
    elif origin is tuple:
        read = partial(_decode_each, tuple(_reader(each) for each in arguments))
    elif origin is frozenset:
        read = partial(_decode_many, frozenset, _reader(arguments[0]))
    elif isinstance(declared, type):
        read = partial(_checked, declared, (int, float) if declared is float else declared)
    else:
        return _as_it_is
    return partial(_unless_none, read) if type(None) in arguments else read


def _unless_none(read: Reader, data: Json, where: str) -> Any:
    return None if data is None else read(data, where)


def _as_it_is(data: Json, _where: str) -> Any:
    return data


def _checked(declared: type, accepted: Any, data: Json, where: str) -> Any:
    if not isinstance(data, accepted):
        raise ValueError(f"{where} should be {declared.__name__}, not {data!r}")
    return data


def _decode_enum(declared: type[Enum], data: Json, _where: str) -> Any:
    return declared(data)


def _decode_many(collection: Callable[[Iterable[Any]], Any], read: Reader, data: Json, where: str) -> Any:
    return collection([read(each, where) for each in _listed(data, where)])


def _decode_each(readers: tuple[Reader, ...], data: Json, where: str) -> Any:
    return tuple(read(each, where) for read, each in zip(readers, _listed(data, where), strict=True))


def _listed(data: Json, where: str) -> Json:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{where} should be a list, not {data!r}")
    return data


def _decode_union(members: Mapping[str, type], data: Json, where: str) -> Any:
    """What was written before a type became a union has no kind: it is of the first member."""
    kind = data.get(KIND, next(iter(members))) if isinstance(data, dict) else None
    member = members.get(kind) if isinstance(kind, str) else None
    if member is None:
        raise ValueError(f"{where} should be one of {', '.join(members)}, not {kind!r}")
    return _decode_dataclass(member, {key: each for key, each in data.items() if key != KIND}, where)


def _decode_dataclass(declared: type, data: Json, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where} should be an object, not {data!r}")
    readers = _readers(declared)
    if unknown := data.keys() - readers.keys():
        raise ValueError(f"{where} has no {', '.join(sorted(unknown))}")
    try:
        return declared(**{name: readers[name](each, f"{where}.{name}") for name, each in data.items()})
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


@cache
def _readers(declared: Any) -> dict[str, Reader]:
    """What reads each field; asked for at the first value, since a dataclass may hold others of its kind."""
    return {name: _reader(hint) for name, hint in _hints(declared).items()}


@cache
def _hints(declared: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(declared)
    return {field.name: hints[field.name] for field in dataclasses.fields(declared)}


def _plain(declared: Any) -> Any:
    while hasattr(declared, "__supertype__"):
        declared = declared.__supertype__
    return declared


@cache
def _members(declared: Any) -> tuple[type, ...]:
    """Return the dataclasses that declared may be: itself, or members of a union."""
    if dataclasses.is_dataclass(declared) and isinstance(declared, type):
        return (declared,)
    if typing.get_origin(declared) in (types.UnionType, typing.Union):
        members = typing.get_args(declared)
        return tuple(each for each in members if dataclasses.is_dataclass(each) and isinstance(each, type))
    return ()


@cache
def _element_type(declared: Any) -> Any:
    arguments = typing.get_args(declared)
    return arguments[0] if arguments and typing.get_origin(declared) in (tuple, frozenset) else None
