"""What every root driver must do; a new one is one line in SAMPLES."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from insula.engine.codec import decode, encode
from insula.engine.spec import Access, ContainerSpec
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.filesystems import Filesystem, FilesystemType
from insula.model.validate import problems
from insula.storage.builders.imagebuilder import Recipe, Workplace
from insula.storage.imagestore import ImageStore
from insula.storage.roots import RootDriver, built_in

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices><filesystem type='{type}'>{source}<target dir='/'/>{more}</filesystem></devices></domain>"""

SAMPLES: Mapping[FilesystemType, Callable[[Path], str]] = {
    FilesystemType.TEMPLATE: lambda _: "<source name='paper'/>",
    FilesystemType.MOUNT: lambda place: f"<source dir='{place}/tree'/>",
    FilesystemType.FILE: lambda place: f"<source file='{place}/image'/>",
    FilesystemType.BLOCK: lambda place: f"<source dev='{place}/image'/>",
}

drivers = pytest.mark.parametrize("kind", list(SAMPLES), ids=str)


class PaperBuilder:
    name = "paper"

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        return Recipe(builder=self.name)

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        workplace.rootfs.mkdir()


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageStore:
    (tmp_path / "tree").mkdir()
    (tmp_path / "image").write_bytes(bytes(1080) + b"\x53\xef" + bytes(100))
    # To have a block device takes a privilege: a file stands for it.
    monkeypatch.setattr("insula.storage.roots.device_source", lambda root: str(root.source.device))
    store = ImageStore(Layout.prefix(tmp_path), builders=(PaperBuilder(),))
    asyncio.run(store.build("paper", Recipe(builder="paper")))
    return store


def driver(images: ImageStore, kind: FilesystemType) -> RootDriver:
    (found,) = (each for each in built_in(images) if each.type is kind)
    return found


def filesystem(kind: FilesystemType, place: Path, more: str = "") -> Filesystem:
    root = DomainDefinition.load(DOMAIN.format(type=kind, source=SAMPLES[kind](place), more=more)).root
    assert root is not None
    return root


def test_every_driver_is_tried_here(images: ImageStore) -> None:
    assert {each.type for each in built_in(images)} == set(SAMPLES)


@drivers
def test_a_definition_without_its_source_is_refused(images: ImageStore, kind: FilesystemType, tmp_path: Path) -> None:
    root = filesystem(kind, tmp_path)
    driver(images, kind).check(root)
    (problem,) = problems(DomainDefinition.load(DOMAIN.format(type=kind, source="<source/>", more="")))
    assert f"is of type {kind} and has no source " in problem


@drivers
def test_preparing_twice_gives_the_same_root_and_it_survives_json(
    images: ImageStore, kind: FilesystemType, tmp_path: Path
) -> None:
    uuid = uuid4()
    root = filesystem(kind, tmp_path)
    first = driver(images, kind).prepare(root, uuid, None)
    assert driver(images, kind).prepare(root, uuid, None) == first
    spec = ContainerSpec(name="d", uuid=str(uuid), root=first, privileged=True)
    assert decode(ContainerSpec, encode(spec)) == spec


@drivers
def test_read_only_is_passed_on(images: ImageStore, kind: FilesystemType, tmp_path: Path) -> None:
    prepared = driver(images, kind).prepare(filesystem(kind, tmp_path, "<readonly/>"), uuid4(), None)
    assert getattr(prepared, "access", None) is Access.READ_ONLY


@drivers
def test_discarding_touches_nothing_of_others_and_may_be_repeated(
    images: ImageStore, kind: FilesystemType, tmp_path: Path
) -> None:
    mine, other = uuid4(), uuid4()
    root = filesystem(kind, tmp_path)
    driver(images, kind).prepare(root, mine, None)
    before = driver(images, kind).prepare(root, other, None)
    driver(images, kind).discard(mine)
    driver(images, kind).discard(mine)
    assert driver(images, kind).prepare(root, other, None) == before
    assert (tmp_path / "tree").is_dir()
    assert images.rootfs("paper").is_dir()


@drivers
def test_discarding_what_was_never_prepared_is_no_error(images: ImageStore, kind: FilesystemType) -> None:
    driver(images, kind).discard(uuid4())
