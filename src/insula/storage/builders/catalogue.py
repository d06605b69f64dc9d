"""Which builders there are, and which of them a source belongs to."""

from collections.abc import Mapping, Sequence

from insula.errors import InvalidArgumentError
from insula.storage.builders.busybox import BusyboxBuilder
from insula.storage.builders.debian import DebianBuilder
from insula.storage.builders.imagebuilder import ImageBuilder, Recipe

BUILT_IN: tuple[ImageBuilder, ...] = (DebianBuilder(), BusyboxBuilder())


def recipe_for(
    source: str, options: Mapping[str, str] | None = None, builders: Sequence[ImageBuilder] = BUILT_IN
) -> Recipe:
    """Return the recipe for a source such as `debian-12`, `ubuntu-24.04` or `busybox`.

    Raises: InvalidArgumentError if no builder knows it, or an option is wrong.
    """
    for builder in builders:
        recipe = builder.recipe(source, options or {})
        if recipe is not None:
            return recipe
    raise InvalidArgumentError(
        f"nobody knows how to build '{source}'; known are debian-12, debian-13, debian-SUITE, ubuntu-24.04, busybox"
    )


def builder_of(recipe: Recipe, builders: Sequence[ImageBuilder] = BUILT_IN) -> ImageBuilder:
    """Return the builder a recipe is for. Raises: InvalidArgumentError if it is not there (any more)."""
    for builder in builders:
        if builder.name == recipe.builder:
            return builder
    raise InvalidArgumentError(f"there is no builder '{recipe.builder}' here")
