"""XML as a table: a frozen dataclass whose annotations say, one line a fact, where each value stands and what it is.

    class Vcpu(Mapped):
        placement: Annotated[Placement | None, Attribute("placement")] = None
        cpus: Annotated[CpuSet | None, Attribute("cpuset")] = None
        count: Annotated[int, Text(within=(1, 4096))]

- The type decides the spelling: a scalar (see `scalars`), an enum with text values, a size, another `Mapped` class, a
  tuple of one of these for an element that repeats, `bool` for an element whose presence is the whole message.
- `| None` makes a fact optional; one without `None` and without default is required.
- Facts are written in the order they are declared, which is libvirt's.
- What no fact claims is kept in `foreign`, with its place among what is understood.

`xmlreader` and `xmlwriter` work from the plan that is compiled here, once a class.
"""

import functools
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum, Flag
from typing import Any, Union, cast

from insula.errors import InternalError, XmlError
from insula.model import foreign as foreign_xml
from insula.model.scalars import SCALARS, Scalar, scalar_of_enum, scalar_of_range
from insula.model.sizes import Bytes, KiB
from insula.model.xmlnamespaces import DNSMASQ_NAMESPACE, INSULA_NAMESPACE, LXC_NAMESPACE

NAMESPACES = {"lxc": LXC_NAMESPACE, "insula": INSULA_NAMESPACE, "dnsmasq": DNSMASQ_NAMESPACE}
"""The prefixes that annotations use."""


class Part(Flag):
    """What belongs to a document beside the definition itself."""

    DEFINITION = 0
    LIVE = 1  # what only a running domain has: its id, aliases, host-side device names
    SECRET = 2  # passwords


def always(_value: object) -> bool:
    """Every value of this fact is of the part."""
    return True


def is_generated_alias(alias: object) -> bool:
    """Whether a device's alias was made up at start; those of users begin with `ua-`, as libvirt demands."""
    return not (isinstance(alias, str) and alias.startswith("ua-"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Where a value stands. live, secret: which values belong to that part only; None: none do.

    missing: what it counts as if the fact must be there and is not; within: the lowest and the highest number;
    zero_is_none: 0 says that there is none, as libvirt takes it; unit: the attribute that holds the unit of a size.
    """

    missing: type[XmlError] = XmlError
    within: tuple[int, int] | None = None
    zero_is_none: bool = False
    unit: str | None = None
    live: Callable[[Any], bool] | None = None
    secret: Callable[[Any], bool] | None = None

    def is_read(self, value: object, parts: Part) -> bool:
        """Whether value is taken from a document read with parts; secrets always are."""
        return self.live is None or Part.LIVE in parts or not self.live(value)

    def is_shown(self, value: object, parts: Part) -> bool:
        """Whether value is written into a document with parts."""
        return self.is_read(value, parts) and (self.secret is None or Part.SECRET in parts or not self.secret(value))


@dataclass(frozen=True, slots=True)
class Attribute(Fact):
    """An attribute of this element."""

    name: str


@dataclass(frozen=True, slots=True)
class Element(Fact):
    """A child element: its text, or one of its attributes, or a mapped class.

    Several names: whichever stands there; the mapped class says by a `Name` fact which one it is.
    """

    name: str
    attribute: str | None = field(default=None, kw_only=True)
    others: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.others)


@dataclass(frozen=True, slots=True)
class Text(Fact):
    """The text of this element."""


@dataclass(frozen=True, slots=True)
class Name(Fact):
    """The name of this element, where the world lets several names stand in one place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something foreign stands: by one of the children a fact claims, each field's counted from 1.

    inside: it belongs to that child; before: a comment on that child; after: it follows that child. None of them: an
    attribute of the element itself, or what stands in it first.
    """

    inside: tuple[str, int] | None = None
    before: tuple[str, int] | None = None
    after: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something nobody claimed, kept."""

    place: Place
    item: foreign_xml.ForeignAttribute | foreign_xml.ForeignElement | foreign_xml.Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """A class whose annotations map it to an XML element."""

    foreign: tuple[Foreign, ...] = ()


class Shape(Enum):
    """What stands behind a fact."""

    SCALAR = 1
    SIZE = 2  # a number with a unit beside it
    MAPPED = 3
    FLAG = 4  # the element is there, or it is not


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledFact:
    """One compiled fact: which field, where, what. kind: the type without its `| None` or `tuple`."""

    field: str
    fact: Fact
    shape: Shape
    scalar: Scalar
    kind: object
    mapped: type[Mapped] | None
    repeats: bool
    optional: bool
    required: bool

    @property
    def label(self) -> str:
        """The fact as an error or the reference names it: `@attribute`, `element`, `element/@attribute`, `text()`."""
        match self.fact:
            case Attribute(name=name):
                return f"@{name}"
            case Element(name=name, attribute=str(attribute)):
                return f"{name}/@{attribute}"
            case Element(name=name):
                return name
            case Text():
                return "text()"
        return "name()"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassPlan:
    """All facts of one class, by place, in the order of declaration."""

    cls: type[Mapped]
    attributes: tuple[CompiledFact, ...]
    elements: tuple[CompiledFact, ...]
    text: CompiledFact | None
    name: CompiledFact | None


_NO_SCALAR = Scalar(read=str, write=str, expected="")
_SIZE_SCALAR = Scalar(
    read=str, write=str, expected="a size: a whole number, with a unit such as KiB, MB or G beside it"
)


def _compiled(cls: type[Mapped]) -> ClassPlan:
    """Return the facts of cls. Raises: InternalError for an annotation that cannot be mapped."""
    hints = typing.get_type_hints(cls, include_extras=True)
    plans = [_plan(cls, each, hints[each.name]) for each in fields(cls) if each.init and each.name != "foreign"]
    text = [each for each in plans if isinstance(each.fact, Text)]
    name = [each for each in plans if isinstance(each.fact, Name)]
    elements = [each for each in plans if isinstance(each.fact, Element)]
    if len(text) > 1 or len(name) > 1 or (text and elements):
        raise InternalError(f"{cls.__name__}: text beside child elements, or two facts for one place")
    return ClassPlan(
        cls=cls,
        attributes=tuple(each for each in plans if isinstance(each.fact, Attribute)),
        elements=tuple(elements),
        text=text[0] if text else None,
        name=name[0] if name else None,
    )


plan_of = cast("Callable[[type[Mapped]], ClassPlan]", functools.cache(_compiled))
"""The compiled facts of a class; compiled when first asked for."""


def _plan(cls: type[Mapped], each: Field[Any], hint: object) -> CompiledFact:
    if typing.get_origin(hint) is not typing.Annotated:
        raise InternalError(f"{cls.__name__}.{each.name} has no fact in its annotation")
    inner, fact = typing.get_args(hint)[:2]
    kind, optional, repeats = _unwrapped(inner)
    has_default = each.default is not MISSING or each.default_factory is not MISSING
    shape, scalar, mapped = _spelling(cls, each.name, kind, fact)
    return CompiledFact(
        field=each.name,
        fact=fact,
        shape=shape,
        scalar=scalar,
        kind=kind,
        mapped=mapped,
        repeats=repeats,
        optional=optional,
        required=not (optional or has_default or repeats),
    )


def _unwrapped(hint: object) -> tuple[object, bool, bool]:
    """Return the type itself, whether None is allowed, and whether it repeats."""
    if typing.get_origin(hint) is tuple:
        return _unwrapped(typing.get_args(hint)[0])[0], False, True
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is Union:
        members = [each for each in typing.get_args(hint) if each is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        return (members[0] if len(members) == 1 else frozenset(members)), optional, False
    return hint, False, False


def _spelling(cls: type[Mapped], name: str, kind: object, fact: Fact) -> tuple[Shape, Scalar, type[Mapped] | None]:
    if kind is bool:
        return Shape.FLAG, _NO_SCALAR, None
    if kind in (Bytes, KiB):
        return Shape.SIZE, _SIZE_SCALAR, None
    if fact.within is not None:
        return Shape.SCALAR, scalar_of_range(*fact.within), None
    if isinstance(kind, type) and issubclass(kind, Mapped):
        return Shape.MAPPED, _NO_SCALAR, kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Shape.SCALAR, scalar_of_enum(kind), None
    if kind in SCALARS:
        return Shape.SCALAR, SCALARS[kind], None
    raise InternalError(f"{cls.__name__}.{name} has the type {kind}, which no scalar spells")


def clark(name: str) -> str:
    """Return an annotation's name as lxml calls it: `lxc:sharenet` becomes `{URI}sharenet`."""
    prefix, _, local = name.rpartition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}" if prefix else local


def facts_of(cls: type[Mapped], root: str) -> Iterator[tuple[str, CompiledFact]]:
    """Yield every fact of cls and of the classes below it: its path, such as `domain/memory`, and its plan."""
    plan = plan_of(cls)
    for each in (*plan.attributes, *((plan.text,) if plan.text else ()), *((plan.name,) if plan.name else ())):
        yield f"{root}/{each.label}", each
    for each in plan.elements:
        assert isinstance(each.fact, Element)
        for name in each.fact.names:
            suffix = f"/@{each.fact.attribute}" if each.fact.attribute else ""
            yield f"{root}/{name}{suffix}", each
            if each.mapped is not None:
                yield from facts_of(each.mapped, f"{root}/{name}")
