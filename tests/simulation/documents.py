"""Documents of domains, read and written once: those of one walk are the same few as those of every other.

What makes a domain of a text and a text of a domain are functions without state; a third of a walk's time was theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

from insula.model import domain as domains
from insula.service import incoming

REMEMBERED = 1 << 14


PURE = ((domains, "parse"), (domains, "read"), (domains, "completed"), (domains, "dump"), (incoming, "validate"))
"""What is called for a document, where it is called."""


@cache
def _remembering() -> tuple[tuple[ModuleType, str, Callable[..., Any]], ...]:
    """Return what takes the place of each."""
    return tuple((module, name, _hashing_lists(getattr(module, name))) for module, name in PURE)


def _hashing_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    remembering = lru_cache(REMEMBERED)(function)

    def called(*given: Any, **named: Any) -> Any:
        return remembering(*given, **{key: tuple(each) if type(each) is list else each for key, each in named.items()})

    return called


@contextmanager
def remembered() -> Iterator[None]:
    """Have no document read or written twice while the block lasts."""
    originals = [(module, name, getattr(module, name)) for module, name, _ in _remembering()]
    for module, name, function in _remembering():
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, name, function in originals:
            setattr(module, name, function)
