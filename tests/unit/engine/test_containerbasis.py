"""What both kinds of containers are described by."""

import inspect

import pytest

from insula import AsyncContainer, Container
from insula.errors import InvalidArgumentError


def test_both_kinds_are_described_by_the_same_words() -> None:
    assert inspect.signature(Container) == inspect.signature(AsyncContainer)
    words = {"name": "web", "memory": 1 << 20}
    blocking, awaited = Container("/srv/web", **words), AsyncContainer("/srv/web", **words)  # type: ignore[arg-type]
    assert blocking.spec.limits == awaited.spec.limits
    assert repr(awaited) == "<AsyncContainer web: not started>"


def test_a_container_has_a_root_or_an_image() -> None:
    with pytest.raises(InvalidArgumentError, match="either a root or an image"):
        Container()
    with pytest.raises(InvalidArgumentError, match="either a root or an image"):
        Container("/srv/web", image="debian-12")
