"""The images that domains are cloned from: listed, built, removed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from insula.errors import ImageNotFoundError, InvalidArgumentError, ResourceBusyError
from insula.service.jsonrequests import json_object
from insula.storage.atomicdirectory import to_the_end
from insula.storage.builders.catalogue import recipe_for
from insula.storage.builders.imagebuilder import Progress, Recipe
from insula.storage.clones import Clone
from insula.storage.imagestore import Image, ImageStore

Report = Callable[[Progress], None]
"""Told how a build goes on."""


class Images:
    """The verbs on images. names: of the domains, for errors that speak of them."""

    def __init__(self, store: ImageStore, names: Callable[[], dict[UUID, str]] = dict) -> None:
        self._store = store
        self._names = names

    def list(self) -> Sequence[Image]:
        """Return all images by name."""
        return self._store.all()

    async def build(self, name: str, recipe: str, report: Report) -> Image:
        """Build an image; it appears whole, or not at all. Cancelling ends the building and leaves nothing.

        recipe: see recipe_of. Raises: InvalidArgumentError, ImageExistsError, ResourceBusyError, OperationFailedError.
        """
        return await self._store.build(name, recipe_of(name, recipe), report)

    async def remove(self, name: str) -> None:
        """Remove an image. Raises: ImageNotFoundError, ResourceBusyError while domains are cloned from it."""
        await asyncio.to_thread(self._store.remove, name, self._names())

    def clone_of(self, uuid: UUID) -> Clone | None:
        """Return a domain's clone, None if it has none."""
        return self._store.clones.find(uuid)

    async def tag(self, name: str, another: str) -> None:
        """Give an image another name. Raises: ImageNotFoundError, ImageExistsError."""
        await asyncio.to_thread(self._store.tag, name, another)

    def left_clones(self) -> Sequence[Clone]:
        """Return the clones of domains that are neither defined nor running, by UUID."""
        known = self._names()
        return sorted((each for each in self._store.clones.all() if each.uuid not in known), key=lambda each: each.uuid)

    async def remove_left_clone(self, uuid: UUID) -> None:
        """Remove such a clone, with all its guest has written.

        Raises: ImageNotFoundError; ResourceBusyError if there is a domain with that UUID.
        """
        name = self._names().get(uuid)
        if name is not None:
            raise ResourceBusyError(f"the clone {uuid} belongs to domain '{name}'")
        # Not in a thread: nobody may define or start the domain between the look and the taking.
        withdrawn = self._store.clones.withdraw(uuid)
        if withdrawn is None:
            raise ImageNotFoundError(f"no domain left a clone {uuid}")
        await to_the_end(asyncio.to_thread(self._store.clones.remove, withdrawn))


def recipe_of(name: str, text: str) -> Recipe:
    """Return the recipe a client means: the name of a source, none for the image's own, or JSON with it and options.

    The JSON: {"recipe": "debian-12", "packages": ["vim"], other options: texts}. Raises: InvalidArgumentError.
    """
    if not text.lstrip().startswith("{"):
        return recipe_for(text or name)
    wanted = json_object(text, "the recipe")
    source = wanted.pop("recipe", None) or name
    if not isinstance(source, str):
        raise InvalidArgumentError("'recipe' must be a text, such as debian-12")
    return recipe_for(
        source, {key: _option(key, value) for key, value in wanted.items() if value not in (None, [], "")}
    )


def _option(key: str, value: Any) -> str:
    """A builder's options are texts; a list becomes one with commas."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, str):
        return value
    raise InvalidArgumentError(f"'{key}' of a recipe must be a text or a list of texts")
