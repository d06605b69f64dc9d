"""Images: the service's words for the store's."""

import asyncio
import os
from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import ImageNotFoundError, InvalidArgumentError, ResourceBusyError
from insula.layout import Layout
from insula.service.images import Images, recipe_of
from insula.storage.builders.catalogue import recipe_for
from insula.storage.builders.imagebuilder import Progress, Recipe, Workplace
from insula.storage.imagestore import ImageStore
from tests.waiting import patience


@pytest.mark.parametrize(
    ("text", "source", "options"),
    [
        ("", "debian-12", {}),
        ("busybox", "busybox", {}),
        ('{"recipe": "debian-13", "packages": ["vim", "nginx"]}', "debian-13", {"packages": "vim,nginx"}),
        ('{"packages": []}', "debian-12", {}),
        ('{"recipe": null, "slim": "yes"}', "debian-12", {"slim": "yes"}),
    ],
)
def test_a_recipe_is_a_source_or_json_with_options(text: str, source: str, options: dict[str, str]) -> None:
    assert recipe_of("debian-12", text) == recipe_for(source, options)


@pytest.mark.parametrize(
    "text", ["{", '{"recipe": 5}', '{"packages": {}}', '{"packages": [1]}', "no-such-source", '{"x": "y"}']
)
def test_a_recipe_that_nobody_understands_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        recipe_of("debian-12", text)


@pytest.mark.asyncio
async def test_a_build_tells_its_progress_and_the_image_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImageStore(Layout.prefix(tmp_path))
    images = Images(store)
    told: list[Progress] = []

    class Builder:
        name = "busybox"

        async def build(self, recipe: Recipe, workplace: Workplace) -> None:
            workplace.rootfs.mkdir()
            workplace.report(Progress(phase="installing", text="links", fraction=0.5))

    monkeypatch.setattr("insula.storage.imagestore.builder_of", lambda recipe, builders: Builder())
    image = await images.build("small", "busybox", told.append)
    assert image.name == "small"
    assert Progress(phase="installing", text="links", fraction=0.5) in told
    assert [each.name for each in images.list()] == ["small"]

    await images.remove("small")
    assert list(images.list()) == []
    with pytest.raises(ImageNotFoundError):
        await images.remove("small")


@pytest.mark.asyncio
async def test_a_cancelled_build_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(Layout.prefix(tmp_path))
    images, begun = Images(store), asyncio.Event()

    class Builder:
        name = "busybox"

        async def build(self, recipe: Recipe, workplace: Workplace) -> None:
            workplace.rootfs.mkdir()
            begun.set()
            await asyncio.Event().wait()

    monkeypatch.setattr("insula.storage.imagestore.builder_of", lambda recipe, builders: Builder())
    building = asyncio.create_task(images.build("small", "busybox", lambda *each: None))
    await asyncio.wait_for(begun.wait(), patience(5))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert list(images.list()) == []


@pytest.mark.asyncio
async def test_only_clones_without_a_domain_are_listed_and_removed(tmp_path: Path) -> None:
    store, web, gone = ImageStore(Layout.prefix(tmp_path)), UUID(int=1), UUID(int=2)
    for each in (web, gone):
        store.clones.create(each, "small", tmp_path)
    images = Images(store, lambda: {web: "web"})

    assert [(each.uuid, each.image) for each in images.left_clones()] == [(gone, "small")]
    with pytest.raises(ResourceBusyError, match="belongs to domain 'web'"):
        await images.remove_left_clone(web)
    await images.remove_left_clone(gone)
    with pytest.raises(ImageNotFoundError, match="no domain left a clone"):
        await images.remove_left_clone(gone)

    assert os.listdir(store.clones.directory) == [str(web)]
