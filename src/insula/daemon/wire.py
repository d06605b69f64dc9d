"""The service's nouns as the wire has them, and back."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from insula.errors import InvalidArgumentError
from insula.model.numbers import ParameterType
from insula.model.sizes import CpuSet
from insula.rpc import wiretypes
from insula.service.events import DomainIdentity, NetworkIdentity
from insula.service.parameters import Parameter

STRING_OKAY = 4
"""The flag by which a client says it understands parameters of type string; others are not shown them."""

T = TypeVar("T")


def to_wire(ref: DomainIdentity) -> wiretypes.DomainRef:
    """A domain's reference as it travels."""
    return wiretypes.DomainRef(ref.name, ref.uuid.bytes, ref.id)


def network_to_wire(ref: NetworkIdentity) -> wiretypes.NetworkRef:
    """A network's reference as it travels."""
    return wiretypes.NetworkRef(ref.name, ref.uuid.bytes)


def parameters_from_wire(parameters: Iterable[wiretypes.TypedParameter]) -> list[Parameter]:
    """Typed parameters as the service takes them."""
    return [Parameter(name, ParameterType(kind), value) for name, kind, value in parameters]


def shown(parameters: Sequence[Parameter], flags: int) -> list[Parameter]:
    """The parameters that a client with these flags understands."""
    if flags & STRING_OKAY:
        return list(parameters)
    return [each for each in parameters if each.kind is not ParameterType.STRING]


def counted(items: Sequence[T], room: int) -> tuple[Sequence[T], int]:
    """Answer the two-call idiom: asked with no room, only how many there are; else as many as fit, and that number.

    Raises: InvalidArgumentError for a negative room.
    """
    if room < 0:
        raise InvalidArgumentError(f"a count of {room}: give zero or more")
    if room == 0:
        return (), len(items)
    fitting = items[:room]
    return fitting, len(fitting)


def wanted(items: Sequence[T], need_results: int) -> tuple[Sequence[T], int]:
    """Answer a list call: all items, or just their number."""
    return (items if need_results else ()), len(items)


def text(value: str) -> bytes:
    """A C string in a character array: libvirt's clients copy up to the zero byte."""
    return value.encode() + b"\0"


def cpu_bits(cpus: Iterable[int], length: int) -> bytes:
    """A CPU map of length bytes, the lowest CPU in the lowest bit of the first byte."""
    return (cpus if isinstance(cpus, CpuSet) else CpuSet(cpus)).bitmap(length)


def cpu_maps(sets: Sequence[AbstractSet[int]], length: int) -> bytes:
    """The CPU maps of several sets, one behind the other; most processors share one set, which is drawn once."""
    drawn: dict[int, bytes] = {}
    for each in sets:
        if id(each) not in drawn:
            drawn[id(each)] = cpu_bits(each, length)
    return b"".join(drawn[id(each)] for each in sets)
