"""Texts that may stand only once."""

from collections import Counter
from collections.abc import Iterable, Iterator


def repeated(texts: Iterable[str]) -> Iterator[str]:
    """Yield each text that comes more than once, in the order of first appearance."""
    return (text for text, count in Counter(texts).items() if count > 1)
