"""The image store, with a builder that needs nothing."""

import asyncio
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from insula.errors import (
    ImageExistsError,
    ImageNotFoundError,
    InvalidArgumentError,
    OperationFailedError,
    ResourceBusyError,
)
from insula.layout import Layout
from insula.storage.builders.imagebuilder import Progress, Recipe, Workplace
from insula.storage.imagestore import ImageStore

RECIPE = Recipe(builder="paper", options=(("colour", "white"),))


class PaperBuilder:
    """Makes a root of a few small files; option `fail` says how it fails instead."""

    name = "paper"

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        return Recipe(builder=self.name) if source == self.name else None

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        workplace.report(Progress(phase="installing", text="folding", fraction=0.5))
        (workplace.rootfs / "etc").mkdir(parents=True)
        (workplace.rootfs / "etc/os-release").symlink_to("/usr/lib/os-release")
        (workplace.rootfs / "usr/lib").mkdir(parents=True)
        (workplace.rootfs / "usr/lib/os-release").write_text('ID=paper\nPRETTY_NAME="Paper 1"\n')
        (workplace.directory / "scratch").write_text("of the builder")
        match recipe.option("fail"):
            case "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(workplace.rootfs))
            case "tool":
                raise OperationFailedError("scissors ended with status 1")
            case "never":
                await asyncio.sleep(1000)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Layout.prefix(tmp_path), builders=(PaperBuilder(),))


def build(store: ImageStore, name: str = "paper", recipe: Recipe = RECIPE) -> None:
    asyncio.run(store.build(name, recipe))


def test_a_built_image_is_listed_found_and_described(store: ImageStore) -> None:
    seen: list[Progress] = []
    image = asyncio.run(store.build("paper", RECIPE, seen.append))
    assert store.all() == [image]
    assert store.find("paper") == image
    assert (image.os, image.distribution, image.release) == ("Paper 1", "paper", "")
    assert image.recipe == RECIPE
    assert image.size > 0
    assert image.created.endswith("+00:00")
    assert [each.text for each in seen] == ["folding", "writing to disk"]
    assert sorted(os.listdir(store.rootfs("paper"))) == ["etc", "usr"]
    assert sorted(os.listdir(store.rootfs("paper").parent)) == ["image.json", "rootfs"]


def test_two_builds_of_one_recipe_are_two_images(store: ImageStore) -> None:
    build(store, "a")
    build(store, "b")
    assert [each.name for each in store.all()] == ["a", "b"]
    assert store.find("a").id != store.find("b").id


def test_an_empty_store_has_no_images(store: ImageStore) -> None:
    assert store.all() == []
    assert store.sweep() == []
    with pytest.raises(ImageNotFoundError, match="no image named 'paper'"):
        store.find("paper")


def test_an_image_is_never_overwritten(store: ImageStore) -> None:
    build(store)
    before = store.find("paper")
    with pytest.raises(ImageExistsError, match="'paper' exists"):
        build(store)
    assert store.find("paper") == before


@pytest.mark.parametrize(
    ("how", "complaint"),
    [("full", "cannot build image 'paper': .*No space left on device"), ("tool", "scissors ended with status 1")],
)
def test_a_failed_build_is_explained_and_leaves_nothing(store: ImageStore, how: str, complaint: str) -> None:
    with pytest.raises(OperationFailedError, match=complaint):
        build(store, recipe=Recipe(builder="paper", options=(("fail", how),)))
    assert os.listdir(store.directory) == [".lock"]


def test_a_cancelled_build_leaves_nothing(store: ImageStore) -> None:
    async def cancel() -> None:
        folding = asyncio.Event()
        endless = Recipe(builder="paper", options=(("fail", "never"),))
        task = asyncio.create_task(store.build("paper", endless, lambda _: folding.set()))
        await folding.wait()
        assert (store.directory / ".building-paper/scratch").exists()
        assert store.all() == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert os.listdir(store.directory) == [".lock"]


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "x" * 65, "with space", "-option"])
def test_names_that_lead_elsewhere_are_refused(store: ImageStore, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot name an image"):
        build(store, name)
    with pytest.raises(InvalidArgumentError, match="cannot name an image"):
        store.remove(name)
    with pytest.raises(InvalidArgumentError, match="cannot name an image"):
        store.find(name)


def test_an_unused_image_can_be_removed(store: ImageStore) -> None:
    build(store)
    store.remove("paper")
    assert os.listdir(store.directory) == [".lock"]
    with pytest.raises(ImageNotFoundError):
        store.remove("paper")


def test_a_used_image_cannot_be_removed_and_its_users_are_named(store: ImageStore) -> None:
    build(store)
    web, other = uuid4(), uuid4()
    store.clone("paper", web)
    store.clone("paper", other)
    assert set(store.used_by("paper")) == {web, other}
    with pytest.raises(ResourceBusyError) as refused:
        store.remove("paper", {web: "web"})
    assert "used by the domains web; remove them with their files first: insula rm" in str(refused.value)
    assert (
        f"files that undefined domains left; define them again, or remove them by insula image prune: {other}"
        in str(refused.value)
    )
    store.clones.discard(web)
    store.clones.discard(other)
    store.remove("paper")


def test_a_clone_is_made_once_and_found_again(store: ImageStore) -> None:
    build(store)
    web = uuid4()
    clone = store.clone("paper", web)
    (clone.upper / "written").write_text("x")
    assert store.clone("paper", web) == clone
    assert (clone.upper / "written").exists()


def test_a_domain_keeps_the_image_it_has_written_over(store: ImageStore) -> None:
    build(store, "a")
    build(store, "b")
    web = uuid4()
    store.clone("a", web)
    with pytest.raises(ResourceBusyError, match="its clone of image 'a', so it cannot have one of 'b'"):
        store.clone("b", web)
    assert store.used_by("b") == []


def test_there_is_no_clone_of_an_image_that_is_not_there(store: ImageStore) -> None:
    web = uuid4()
    with pytest.raises(ImageNotFoundError):
        store.clone("paper", web)
    assert store.clones.find(web) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 1}', b"\xff"])
def test_an_image_with_a_broken_description_is_named_and_hides_no_other(store: ImageStore, content: bytes) -> None:
    build(store, "good")
    build(store, "bad")
    (store.directory / "bad/image.json").write_bytes(content)
    assert [each.name for each in store.all()] == ["good"]
    with pytest.raises(ImageNotFoundError, match="description of image 'bad' is none"):
        store.find("bad")
    store.remove("bad")
    assert not (store.directory / "bad").exists()


def test_strange_things_in_the_directory_are_left_alone(store: ImageStore) -> None:
    build(store)
    (store.directory / "notes.txt").write_text("x")
    (store.directory / "with space").mkdir()
    assert [each.name for each in store.all()] == ["paper"]
    assert store.sweep() == []
    assert (store.directory / "notes.txt").exists()


def test_a_root_cannot_make_us_read_the_hosts_files(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('PRETTY_NAME="secret"\n')

    class Hostile(PaperBuilder):
        async def build(self, recipe: Recipe, workplace: Workplace) -> None:
            (workplace.rootfs / "etc").mkdir(parents=True)
            (workplace.rootfs / "etc/os-release").symlink_to(tmp_path / "secret")

    hostile = ImageStore(Layout.prefix(tmp_path), builders=(Hostile(),))
    assert asyncio.run(hostile.build("hostile", RECIPE)).os == ""


def test_what_killed_processes_left_is_swept(store: ImageStore) -> None:
    build(store)
    (store.directory / ".building-x/rootfs/etc").mkdir(parents=True)
    (store.directory / ".removed-y/rootfs/etc").mkdir(parents=True)
    (store.clones.directory / f".new-{UUID(int=1)}-00000000").mkdir(parents=True)
    assert set(store.sweep()) == {".building-x", ".removed-y", f".new-{UUID(int=1)}-00000000"}
    assert [each.name for each in store.all()] == ["paper"]
    assert sorted(os.listdir(store.directory)) == [".lock", "paper"]


def test_the_description_is_json_that_others_can_read(store: ImageStore) -> None:
    build(store)
    data = json.loads((store.directory / "paper/image.json").read_text())
    assert data["name"] == "paper"
    assert data["recipe"]["builder"] == "paper"


def test_an_image_whose_files_cannot_be_removed_is_gone_all_the_same(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build(store, "small")

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("insula.storage.atomicdirectory.remove_below", failing)
        store.remove("small")
    assert store.all() == []
    assert "its files only by the daemon's next start" in caplog.text
    assert len(store.sweep()) == 1


def test_an_image_is_found_and_cloned_by_each_of_its_names(store: ImageStore) -> None:
    build(store)
    store.tag("paper", "white")
    store.tag("white", "sheet")
    assert [each.name for each in store.all()] == ["paper", "sheet", "white"]
    assert store.find("white").id == store.find("paper").id and store.rootfs("sheet") == store.rootfs("paper")
    uuid = uuid4()
    assert store.clone("white", uuid).image == "paper" == store.clone("sheet", uuid).image
    assert store.used_by("sheet") == store.used_by("paper") == [uuid]


def test_a_name_goes_without_the_image_and_the_image_after_its_names(store: ImageStore) -> None:
    build(store)
    store.tag("paper", "white")
    with pytest.raises(ResourceBusyError, match="has other names, to be removed before it, or together with it: white"):
        store.remove("paper")
    store.remove("white")
    assert [each.name for each in store.all()] == ["paper"]
    store.remove("paper")
    assert store.all() == []


@pytest.mark.parametrize("taken", ["paper", "white"])
def test_a_name_that_is_taken_is_not_given_again(store: ImageStore, taken: str) -> None:
    build(store)
    store.tag("paper", "white")
    with pytest.raises(ImageExistsError):
        store.tag("paper", taken)
    with pytest.raises(ImageExistsError):
        build(store, taken)


def test_what_is_no_image_and_no_name_is_refused(store: ImageStore) -> None:
    with pytest.raises(ImageNotFoundError):
        store.tag("paper", "white")
    build(store)
    with pytest.raises(InvalidArgumentError):
        store.tag("paper", "../white")
