"""What every image builder must do; a new one is one line in SOURCES."""

import asyncio
import inspect
from collections.abc import Mapping

import pytest

from insula.engine.codec import decode, encode
from insula.errors import InvalidArgumentError
from insula.storage.builders.catalogue import BUILT_IN, builder_of, recipe_for
from insula.storage.builders.imagebuilder import ImageBuilder, Recipe

SOURCES: Mapping[str, str] = {"debian": "debian-12", "busybox": "busybox"}

builders = pytest.mark.parametrize("builder", BUILT_IN, ids=lambda builder: builder.name)


def recipe_of(builder: ImageBuilder) -> Recipe:
    recipe = builder.recipe(SOURCES[builder.name], {})
    assert recipe is not None
    return recipe


def test_every_builder_is_tried_here() -> None:
    assert {builder.name for builder in BUILT_IN} == set(SOURCES)


@builders
def test_its_sources_are_its_own(builder: ImageBuilder) -> None:
    for name, source in SOURCES.items():
        assert (builder.recipe(source, {}) is None) == (name != builder.name)
    assert recipe_for(SOURCES[builder.name]) == recipe_of(builder)
    assert builder_of(recipe_of(builder)) is builder


@builders
def test_a_source_of_nobody_is_not_its_business(builder: ImageBuilder) -> None:
    for source in ("", "plan9-4", "../etc"):
        assert builder.recipe(source, {}) is None


@builders
def test_its_recipes_are_complete_sorted_and_survive_json(builder: ImageBuilder) -> None:
    recipe = recipe_of(builder)
    assert recipe.builder == builder.name
    assert list(recipe.options) == sorted(set(recipe.options))
    assert all(value for _, value in recipe.options)
    assert decode(Recipe, encode(recipe)) == recipe


@builders
def test_an_option_it_does_not_know_is_refused_with_those_it_knows(builder: ImageBuilder) -> None:
    with pytest.raises(InvalidArgumentError, match=r"no option 'colour'; it knows \w+"):
        builder.recipe(SOURCES[builder.name], {"colour": "blue"})


@builders
def test_it_builds_without_holding_up_an_event_loop(builder: ImageBuilder) -> None:
    assert inspect.iscoroutinefunction(builder.build)
    assert not asyncio.iscoroutinefunction(builder.recipe)
