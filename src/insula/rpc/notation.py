"""A procedure's body in one line: `record("dom:dom flags:u")` compiles the notation to what packs and unpacks it.

    i u q Q d       int32, uint32, int64, uint64, double
    i(16) u(16)     a size that the peer names: from 0 to 16; checked before anybody sees it
    i(-1,16)        the same, from -1
    a*b:64          no field: the numbers a and b, which stand before, multiply to at most 64 (a list: its length)
    s               text: UTF-8, at most 4 MiB
    c4 u4           one unsigned char, one unsigned short; four bytes each, as XDR has it
    c4[32] c4<256>  characters of four bytes each, as bytes: exactly 32 (filled with zeros), at most 256
    opaque<64>      at most 64 raw bytes
    uuid            16 raw bytes
    X?              X or None
    X<64>  X<>      a tuple of at most 64, of at most 16384
    {a:i, b:s}      a record in a record: a named tuple
    dom net pool …  the references of `types`; P a typed parameter

A record's value is a named tuple of its fields. Source of the layouts: libvirt's remote_protocol.x.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from keyword import iskeyword
from struct import error as StructError  # noqa: N812 - an exception's name
from typing import Any, Final, NamedTuple

from insula.errors import RpcError
from insula.model.numbers import ParameterType
from insula.rpc import wiretypes, xdr
from insula.rpc.xdr import Codec


class BodyCodec:
    """The codec of a procedure's whole body. names: its fields in order; make: the named tuple of its values."""

    __slots__ = ("_codec", "_products", "make", "names")

    def __init__(
        self, names: tuple[str, ...], make: Callable[..., Any], codec: Codec, products: Sequence["_Product"] = ()
    ) -> None:
        self.names = names
        self.make = make
        self._codec = codec
        self._products = products

    def pack(self, values: Sequence[Any]) -> bytes:
        """Return the body for values in the order of `names`.

        Raises: RpcError if their number is wrong or one does not fit its field.
        """
        try:
            return self._codec.pack(values)
        except (StructError, TypeError, ValueError, AttributeError) as error:
            raise RpcError(f"a value does not fit the fields '{' '.join(self.names)}': {error}") from error

    def unpack(self, body: bytes) -> Any:
        """Return the named tuple in a body. Bytes left over behind it are passed over, as in C.

        Raises: RpcError if the body is cut short or holds what a field cannot.
        """
        try:
            values, _ = self._codec.unpack(body, 0)
        except StructError as error:
            raise RpcError(f"the body ends inside the fields '{' '.join(self.names)}'") from error
        for product in self._products:
            product.check(values)
        return values

    def arrange(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return values in field order from leading positional ones and the rest by name.

        Raises: RpcError if one is missing, unknown or given twice.
        """
        rest = self.names[len(positional) :]
        if len(positional) + len(rest) != len(self.names) or set(rest) != set(named):
            given = [f"{len(positional)} values", *named]
            raise RpcError(f"the fields '{' '.join(self.names)}' are wanted, {', '.join(given)} were given")
        return (*positional, *(named[name] for name in rest))


@cache
def record(notation: str) -> BodyCodec:
    """Return the compiled codec of a notation such as `name:s flags:u`; the same notation is compiled once."""
    products: list[_Product] = []
    names, codecs = _fields(_NotationReader(notation), products, end="")
    make = _named_tuple("Fields", names)
    return BodyCodec(names, make, xdr.sequence_of(codecs, make._make), products)


def _named_tuple(title: str, names: Sequence[str]) -> Any:
    return namedtuple(title, names)  # noqa: PYI024 - its fields are known only at run time


class _Product(NamedTuple):
    """Two numbers that are allowed each, but not together: a count of things and the size of each."""

    left: str
    right: str
    limit: int

    def check(self, values: Any) -> None:
        """Raises: RpcError if the product of the two fields is too large."""
        left, right = _amount(getattr(values, self.left)), _amount(getattr(values, self.right))
        if left * right > self.limit:
            raise RpcError(f"{self.left} {left} times {self.right} {right} is more than {self.limit}")


def _amount(value: Any) -> int:
    return len(value) if isinstance(value, tuple) else int(value)


# Reading the notation


class _NotationReader:
    """A notation being read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def __str__(self) -> str:
        return self._text

    @property
    def ended(self) -> bool:
        return self._at == len(self._text)

    def word(self) -> str:
        """Take the letters and digits that come next."""
        start = self._at
        while not self.ended and (self._text[self._at].isalnum() or self._text[self._at] == "_"):
            self._at += 1
        return self._text[start : self._at]

    def skip(self, wanted: str) -> bool:
        """Take `wanted` if it comes next."""
        found = self._text.startswith(wanted, self._at)
        self._at += len(wanted) * found
        return found

    def need(self, wanted: str) -> None:
        """Take `wanted`, which must come next."""
        if not self.skip(wanted):
            raise ValueError(f"'{wanted}' is missing at {self._at} of the notation '{self._text}'")


def _fields(text: _NotationReader, products: list[_Product], *, end: str) -> tuple[tuple[str, ...], list[Codec]]:
    fields = list(_each_field(text, products, end))
    return tuple(name for name, _ in fields), [codec for _, codec in fields]


def _each_field(text: _NotationReader, products: list[_Product], end: str) -> Iterator[tuple[str, Codec]]:
    while not (text.skip(end) if end else text.ended):
        name = text.word()
        if not name or iskeyword(name):
            raise ValueError(f"'{name}' cannot name a field of the notation '{text}'")
        if text.skip("*"):
            right = text.word()
            text.need(":")
            products.append(_Product(name, right, int(text.word())))
        else:
            text.need(":")
            yield name, _type(text)
        while text.skip(",") or text.skip(" "):
            pass


def _type(text: _NotationReader) -> Codec:
    if text.skip("{"):
        names, codecs = _fields(text, [], end="}")
        codec = xdr.sequence_of(codecs, _named_tuple("Member", names)._make)
    elif (word := text.word()) in ("c4", "opaque"):
        codec = _bytes(word, text)
    elif word in ("i", "u") and text.skip("("):
        codec = _bounded(word, text)
    else:
        codec = _WORDS[word]()
    if text.skip("?"):
        codec = xdr.optional(codec)
    if text.skip("<"):
        codec = xdr.list_of(codec, int(text.word() or xdr.LIST_MAX))
        text.need(">")
    return codec


def _bounded(word: str, text: _NotationReader) -> Codec:
    lowest = 0
    highest = -int(text.word()) if text.skip("-") else int(text.word())
    if text.skip(","):
        lowest, highest = highest, int(text.word())
    text.need(")")
    return xdr.bounded(_WORDS[word]().format, lowest, highest)


def _bytes(word: str, text: _NotationReader) -> Codec:
    if text.skip("["):
        codec = xdr.characters_fixed(int(text.word()))
        text.need("]")
        return codec
    if text.skip("<"):
        limit = int(text.word() or xdr.STRING_MAX)
        text.need(">")
        return xdr.opaque(limit) if word == "opaque" else xdr.characters(limit)
    return xdr.small(0xFF)


# libvirt's nouns

_LETTERS: Final = {
    ParameterType.INT: "i",
    ParameterType.UINT: "I",
    ParameterType.LLONG: "q",
    ParameterType.ULLONG: "Q",
    ParameterType.DOUBLE: "d",
    ParameterType.BOOLEAN: "i",
}
"""How a typed parameter's value travels; that of a STRING is a text."""


_NAMES_KEPT: Final = 1024
"""Names of typed parameters, as they are sent."""


def _parameter() -> Codec:
    """A typed parameter: name, type, and a value as the type says."""
    codecs = {kind: xdr.number(letter) for kind, letter in _LETTERS.items()} | {ParameterType.STRING: xdr.TEXT}
    packs: dict[int, tuple[bytes, xdr.Pack]] = {kind: (xdr.U32.pack(kind), codecs[kind].pack) for kind in codecs}
    unpacks: dict[int, tuple[ParameterType, xdr.Unpack]] = {kind: (kind, codecs[kind].unpack) for kind in codecs}
    pack_text, unpack_text, _ = xdr.TEXT
    pack_name = lru_cache(_NAMES_KEPT)(pack_text)  # a bulk of statistics has a thousand times the same few

    def pack(value: wiretypes.TypedParameter) -> bytes:
        field, kind, content = value
        if kind not in packs:
            raise RpcError(f"the typed parameter '{field}' has the unknown type {kind}")
        tag, pack_content = packs[kind]
        return pack_name(field) + tag + pack_content(content)

    def unpack(data: bytes, at: int) -> tuple[wiretypes.TypedParameter, int]:
        field, at = unpack_text(data, at)
        (number,) = xdr.U32.unpack_from(data, at)
        if number not in unpacks:
            raise RpcError(f"the typed parameter '{field}' has the unknown type {number}")
        kind, unpack_content = unpacks[number]
        content, at = unpack_content(data, at + 4)
        return wiretypes.TypedParameter(field, kind, content), at

    return Codec(pack, unpack)


def _reference(make: Callable[[Any], Any], *words: str) -> Callable[[], Codec]:
    return cache(lambda: xdr.sequence_of([_WORDS[word]() for word in words], make))


_WORDS: Final[dict[str, Callable[[], Codec]]] = {
    "i": cache(lambda: xdr.number("i")),
    "u": cache(lambda: xdr.number("I")),
    "q": cache(lambda: xdr.number("q")),
    "Q": cache(lambda: xdr.number("Q")),
    "d": cache(lambda: xdr.number("d")),
    "u4": cache(lambda: xdr.small(0xFFFF)),
    "s": lambda: xdr.TEXT,
    "uuid": lambda: xdr.UUID,
    "P": cache(_parameter),
    "dom": _reference(wiretypes.DomainRef._make, "s", "uuid", "i"),
    "net": _reference(wiretypes.NetworkRef._make, "s", "uuid"),
    "pool": _reference(wiretypes.PoolRef._make, "s", "uuid"),
    "nwf": _reference(wiretypes.FilterRef._make, "s", "uuid"),
    "nwfb": _reference(wiretypes.FilterBindingRef._make, "s", "s"),
    "vol": _reference(wiretypes.VolumeRef._make, "s", "s", "s"),
    "ndev": _reference(wiretypes.NodeDeviceRef._make, "s"),
    "iface": _reference(wiretypes.InterfaceRef._make, "s", "s"),
    "secret": _reference(wiretypes.SecretRef._make, "uuid", "i", "s"),
    "snap": _reference(wiretypes.SnapshotRef._make, "s", "dom"),
    "ckpt": _reference(wiretypes.CheckpointRef._make, "s", "dom"),
    "nport": _reference(wiretypes.NetworkPortRef._make, "net", "uuid"),
}
