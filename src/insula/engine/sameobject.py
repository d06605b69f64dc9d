"""Keys for caches of what is made of large frozen values: to compare those costs as much as a cache is to save."""

from typing import Generic, TypeVar

T = TypeVar("T")


class SameObject(Generic[T]):
    """Stands for one value, and for no other that says the same. It keeps the value: no other gets its identity."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameObject) and other.value is self.value
