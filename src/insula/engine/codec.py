"""Values to JSON and back: frozen dataclasses of plain fields, enums, tuples, sets and unions of dataclasses.

A dataclass becomes an object; where the declared type is a union of several dataclasses the object says which one in
`kind`. Fields that hold their default are left out, so files stay readable and older ones stay valid.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

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


def encode(value: object, declared: object = None) -> Json:
    """Return value as JSON-able data. declared: the type its place was declared with, to tell unions."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encode_dataclass(value, tagged=len(_members(declared)) > 1)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | set):
        return sorted((encode(each) for each in value), key=str)
    if isinstance(value, tuple | list):
        inner = _element_type(declared)
        return [encode(each, inner) for each in value]
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} does not survive JSON")


def _encode_dataclass(value: Any, *, tagged: bool) -> dict[str, Json]:
    kind: Any = type(value)
    hints = _hints(kind)
    encoded: dict[str, Json] = {KIND: type(value).__name__} if tagged else {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if not _is_default(field, content):
            encoded[field.name] = encode(content, hints[field.name])
    return encoded


def _is_default(field: "dataclasses.Field[Any]", content: object) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(content == field.default) and type(content) is type(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(content == field.default_factory())
    return False


def decode(declared: type[T], data: Json) -> T:
    """Return the value of the declared type that `encode` made data from.

    Raises: ValueError that says where data does not fit.
    """
    result: T = _decode(declared, data, declared.__name__)
    return result


def _decode(declared: Any, data: Json, where: str) -> Any:
    declared = _plain(declared)
    members = _members(declared)
    if data is None and type(None) in typing.get_args(declared):
        return None
    if len(members) > 1:
        return _decode_union(members, data, where)
    if members:
        return _decode_dataclass(members[0], data, where)
    if isinstance(declared, type) and issubclass(declared, Enum):
        return declared(data)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (types.UnionType, typing.Union):
        remaining = [each for each in arguments if each is not type(None)]
        return _decode(remaining[0], data, where) if len(remaining) == 1 else data
    if origin in (tuple, frozenset) and not isinstance(data, list | tuple):
        raise ValueError(f"{where} should be a list, not {data!r}")
    if origin is tuple:
        kinds = [arguments[0]] * len(data) if arguments[-1] is Ellipsis else arguments
        return tuple(_decode(kind, each, where) for kind, each in zip(kinds, data, strict=True))
    if origin is frozenset:
        return frozenset(_decode(arguments[0], each, where) for each in data)
    if isinstance(declared, type) and not isinstance(data, (int, float) if declared is float else declared):
        raise ValueError(f"{where} should be {declared.__name__}, not {data!r}")
    return data


def _decode_union(members: list[type], data: Json, where: str) -> Any:
    kind = data.get(KIND) if isinstance(data, dict) else None
    for member in members:
        if member.__name__ == kind:
            return _decode_dataclass(member, {key: each for key, each in data.items() if key != KIND}, where)
    raise ValueError(f"{where} should be one of {', '.join(each.__name__ for each in members)}, not {kind!r}")


def _decode_dataclass(declared: type, data: Json, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where} should be an object, not {data!r}")
    hints = _hints(declared)
    unknown = data.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{where} has no {', '.join(sorted(unknown))}")
    try:
        return declared(**{name: _decode(hints[name], each, f"{where}.{name}") for name, each in data.items()})
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


@cache
def _hints(declared: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(declared)
    return {field.name: hints[field.name] for field in dataclasses.fields(declared)}


def _plain(declared: Any) -> Any:
    while hasattr(declared, "__supertype__"):
        declared = declared.__supertype__
    return declared


def _members(declared: Any) -> list[type]:
    """Return the dataclasses that declared may be: itself, or members of a union."""
    if dataclasses.is_dataclass(declared) and isinstance(declared, type):
        return [declared]
    if typing.get_origin(declared) in (types.UnionType, typing.Union):
        return [each for each in typing.get_args(declared) if dataclasses.is_dataclass(each) and isinstance(each, type)]
    return []


def _element_type(declared: Any) -> Any:
    arguments = typing.get_args(declared)
    return arguments[0] if arguments and typing.get_origin(declared) in (tuple, frozenset) else None
