"""Tests of insula.engine.steps.step."""

from dataclasses import FrozenInstanceError, dataclass
from typing import Any, ClassVar

import pytest

from insula.engine.steps.step import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    name: str

    def __str__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Paint(Step):
    phrase: ClassVar[str] = "paint {things} {colour}"

    colour: str | None
    things: Any


def test_a_step_says_what_it_does_with_its_own_values() -> None:
    assert str(Paint(why="asked for", colour="red", things="a door")) == "paint a door red"


@pytest.mark.parametrize(
    ("things", "shown"),
    [
        ((), ""),
        (("a", "b"), "a, b"),
        (["a", ["b", "c"]], "a, b, c"),
        (frozenset({7}), "7"),
        ((Inner(name="x"), Inner(name="y")), "<x>, <y>"),
        (None, "None"),
    ],
)
def test_several_values_are_listed(things: object, shown: str) -> None:
    assert str(Paint(why="asked for", colour="red", things=things)) == f"paint {shown} red"


def test_braces_in_a_value_mean_nothing() -> None:
    assert str(Paint(why="asked for", colour="{things}", things="{why}")) == "paint {why} {things}"


def test_a_step_without_a_reason_cannot_be_made() -> None:
    make: Any = Paint
    with pytest.raises(TypeError, match="why"):
        make(colour="red", things="a door")


def test_a_step_is_a_value() -> None:
    step = Paint(why="asked for", colour="red", things="a door")
    assert step == Paint(why="asked for", colour="red", things="a door")
    assert step != Paint(why="no reason", colour="red", things="a door")
    field = "colour"
    with pytest.raises(FrozenInstanceError):
        setattr(step, field, "blue")
