"""Recipes and where they are carried out."""

from pathlib import Path

import pytest

from insula.engine.codec import decode, encode
from insula.errors import InvalidArgumentError
from insula.storage.builders.imagebuilder import Recipe, Workplace, check_options, choice

RECIPE = Recipe(builder="debian", options=(("slim", "no"), ("suite", "trixie")))


def test_a_recipe_survives_json() -> None:
    assert decode(Recipe, encode(RECIPE)) == RECIPE


def test_options_have_a_default() -> None:
    assert RECIPE.option("suite") == "trixie"
    assert RECIPE.option("mirror") == ""
    assert RECIPE.option("mirror", "http://x") == "http://x"


def test_the_root_stands_in_the_workplace() -> None:
    assert Workplace(directory=Path("/w"), lock=3, report=lambda _: None).rootfs == Path("/w/rootfs")


def test_unknown_options_are_refused_with_the_known_ones() -> None:
    check_options("x", {"a": "1"}, {"a": "the first"})
    with pytest.raises(InvalidArgumentError, match=r"'x' has no option 'b'; it knows a \(the first\)"):
        check_options("x", {"b": "1"}, {"a": "the first"})


def test_a_choice_is_one_of_a_few() -> None:
    assert choice("x", "slim", "yes", ("no", "yes")) == "yes"
    with pytest.raises(InvalidArgumentError, match="option 'slim' of 'x' is 'often'; expected no or yes"):
        choice("x", "slim", "often", ("no", "yes"))
