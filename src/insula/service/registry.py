"""All things of one noun, found by UUID or name. In memory, so looking never waits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from insula.errors import InsulaError


class Thing(Protocol):
    """What a registry can hold: it never changes its UUID, and its name by the registry alone.

    gone: the registry has it no more.
    """

    gone: bool
    name: str

    @property
    def uuid(self) -> UUID: ...


T = TypeVar("T", bound=Thing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Noun:
    """What things of a kind are called in errors, and the errors that say that one is missing, or is there already."""

    word: str
    missing: type[InsulaError]
    exists: type[InsulaError]


class Registry(Generic[T]):
    """Things in the order they came. Names are unique, and so are UUIDs."""

    def __init__(self, noun: Noun) -> None:
        self._noun = noun
        self._by_uuid: dict[bytes, T] = {}
        """By the bytes of UUIDs, as they come over the wire."""
        self._by_name: dict[str, T] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._by_uuid.values()))

    def __len__(self) -> int:
        return len(self._by_uuid)

    def add(self, thing: T) -> T:
        """Take a thing in, and return it. Raises: the noun's `exists` if its name or UUID is taken."""
        if self.admit(thing.name, thing.uuid) is not None:
            raise self._noun.exists(f"{self._noun.word} '{thing.name}' already exists with uuid {thing.uuid}")
        self._by_uuid[thing.uuid.bytes] = thing
        self._by_name[thing.name] = thing
        return thing

    def remove(self, thing: T) -> None:
        """Forget a thing; verbs that wait for their turn find it gone."""
        if not thing.gone:
            del self._by_uuid[thing.uuid.bytes]
            del self._by_name[thing.name]
            thing.gone = True

    def claim(self, thing: T, name: str) -> None:
        """Let name be taken by thing, beside its own. Raises: the noun's `exists` if another has it."""
        if (namesake := self._by_name.get(name)) is not None:
            raise self._noun.exists(f"{self._noun.word} '{name}' already exists with uuid {namesake.uuid}")
        self._by_name[name] = thing

    def disclaim(self, name: str) -> None:
        """Free a name that was claimed."""
        del self._by_name[name]

    def rename(self, thing: T, name: str) -> None:
        """Call thing by a name that it has claimed; its former one is free."""
        del self._by_name[thing.name]
        thing.name = name

    def admit(self, name: str, uuid: UUID) -> T | None:
        """Return the thing that has both this name and this UUID, None when neither is taken.

        Raises: the noun's `exists` when only one of them belongs to a thing.
        """
        known = self._by_uuid.get(uuid.bytes)
        if known is not None and known.name != name:
            raise self._noun.exists(f"{self._noun.word} '{known.name}' is already defined with uuid {uuid}")
        if known is None and (namesake := self._by_name.get(name)) is not None:
            raise self._noun.exists(f"{self._noun.word} '{name}' already exists with uuid {namesake.uuid}")
        return known

    def refuse_name(self, name: str) -> None:
        """Raises: the noun's `exists` if a thing is called so."""
        if (namesake := self._by_name.get(name)) is not None:
            raise self._noun.exists(f"{self._noun.word} '{name}' already exists with uuid {namesake.uuid}")

    def has_name(self, name: str) -> bool:
        """Whether a thing is called so."""
        return name in self._by_name

    def find(self, uuid: UUID) -> T | None:
        """Return the thing with this UUID, None if there is none."""
        return self._by_uuid.get(uuid.bytes)

    def by_bytes(self, uuid: bytes) -> T:
        """Return the thing with this UUID, as the wire has it. Raises: the noun's `missing`."""
        found = self._by_uuid.get(uuid)
        if found is None:
            raise self._noun.missing(f"no {self._noun.word} with matching uuid '{UUID(bytes=uuid)}'")
        return found

    def by_uuid(self, uuid: UUID) -> T:
        """Raises: the noun's `missing`."""
        return self.by_bytes(uuid.bytes)

    def by_name(self, name: str) -> T:
        """Raises: the noun's `missing`."""
        found = self._by_name.get(name)
        if found is None:
            raise self._noun.missing(f"no {self._noun.word} with matching name '{name}'")
        return found
