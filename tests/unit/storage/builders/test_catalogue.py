"""Which builder a source belongs to."""

import pytest

from insula.errors import InvalidArgumentError
from insula.storage.builders.catalogue import BUILT_IN, builder_of, recipe_for
from insula.storage.builders.imagebuilder import Recipe


@pytest.mark.parametrize(
    ("source", "builder"), [("debian-12", "debian"), ("ubuntu-24.04", "debian"), ("busybox", "busybox")]
)
def test_a_source_finds_its_builder(source: str, builder: str) -> None:
    recipe = recipe_for(source)
    assert recipe.builder == builder
    assert builder_of(recipe).name == builder


def test_options_reach_the_builder() -> None:
    assert recipe_for("debian-12", {"packages": "vim"}).option("packages") == "vim"


def test_an_unknown_source_is_answered_with_known_ones() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'plan9'.*debian-12"):
        recipe_for("plan9")


def test_a_recipe_of_a_builder_that_went_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no builder 'gone'"):
        builder_of(Recipe(builder="gone"))


def test_names_are_unique() -> None:
    names = [builder.name for builder in BUILT_IN]
    assert len(set(names)) == len(names)
