"""The root of a domain, of whatever kind."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest

from insula.engine.spec import Access, DirectoryRoot, IdMap, IdRange, ImageRoot, OverlayRoot
from insula.errors import ImageNotFoundError, UnsupportedConfigError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType
from insula.storage.builders.imagebuilder import Recipe, Workplace
from insula.storage.imagestore import ImageStore
from insula.storage.roots import Roots, built_in
from tests.partitiontables import table

UUID_TEXT = "6d2a8a1e-3b1f-4a5c-9a53-1c1f6fd0a001"
DOMAIN = """<domain type='lxc'><name>d</name><uuid>6d2a8a1e-3b1f-4a5c-9a53-1c1f6fd0a001</uuid><memory>65536</memory>
<os><type>exe</type></os><devices>{}</devices></domain>"""
TEMPLATE = "<filesystem type='template'><source name='paper'/><target dir='/'/></filesystem>"


class PaperBuilder:
    name = "paper"

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        return Recipe(builder=self.name)

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        workplace.rootfs.mkdir()


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    store = ImageStore(Layout.prefix(tmp_path), builders=(PaperBuilder(),))
    asyncio.run(store.build("paper", Recipe(builder="paper")))
    return store


def domain(xml: str) -> DomainDefinition:
    return DomainDefinition.load(DOMAIN.format(xml))


def test_a_template_is_an_overlay_over_the_image(images: ImageStore, tmp_path: Path) -> None:
    root = Roots(images).prepare(domain(TEMPLATE), None)
    clone = tmp_path / "var/lib/insula/clones" / UUID_TEXT
    assert root == OverlayRoot(
        lower=(str(tmp_path / "var/lib/insula/images/paper/rootfs"),),
        upper=str(clone / "upper"),
        work=str(clone / "work"),
    )
    assert clone.is_dir()
    assert images.used_by("paper") == [UUID(UUID_TEXT)]


def test_the_second_start_finds_what_the_first_wrote(images: ImageStore) -> None:
    roots = Roots(images)
    first = roots.prepare(domain(TEMPLATE), None)
    assert isinstance(first, OverlayRoot)
    Path(first.upper, "written").write_text("x")
    assert roots.prepare(domain(TEMPLATE), None) == first
    assert Path(first.upper, "written").exists()


def test_a_read_only_root(images: ImageStore) -> None:
    root = Roots(images).prepare(domain(TEMPLATE.replace("</filesystem>", "<readonly/></filesystem>")), None)
    assert root.access is Access.READ_ONLY  # type: ignore[union-attr]


def test_discarding_removes_the_clone_and_nothing_else(images: ImageStore) -> None:
    roots = Roots(images)
    root = roots.prepare(domain(TEMPLATE), None)
    assert isinstance(root, OverlayRoot)
    roots.discard(UUID(UUID_TEXT))
    roots.discard(UUID(UUID_TEXT))
    assert not Path(root.upper).exists()
    assert images.rootfs("paper").is_dir()


def test_an_image_that_is_not_there_is_named_at_start_and_not_before(images: ImageStore) -> None:
    missing = domain(TEMPLATE.replace("paper", "stone"))
    Roots(images).check(missing)
    with pytest.raises(ImageNotFoundError, match="no image named 'stone'"):
        Roots(images).prepare(missing, None)


def mounted(path: Path | str) -> DomainDefinition:
    return domain(f"<filesystem type='mount'><source dir='{path}'/><target dir='/'/></filesystem>")


def test_a_directory_is_the_administrators_and_stays(images: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    roots = Roots(images)
    assert roots.prepare(mounted(tmp_path / "tree"), None) == DirectoryRoot(path=str(tmp_path / "tree"))
    roots.discard(UUID(UUID_TEXT))
    assert (tmp_path / "tree").is_dir()


def test_a_directory_with_shifted_owners_is_not_mapped_again(images: ImageStore, tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    ids = (IdRange(inside=owner + 1, outside=owner, count=1),)
    root = Roots(images).prepare(mounted(tmp_path), IdMap(uids=ids, gids=ids))
    assert root == DirectoryRoot(path=str(tmp_path), idmapped=False)


def test_the_hosts_own_root_is_refused_by_whatever_name(images: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    for path in ("/", tmp_path / "link", "/proc/self/root"):
        with pytest.raises(UnsupportedConfigError, match="cannot be the host's own"):
            Roots(images).prepare(mounted(path), None)


def test_a_domain_without_a_root_is_refused_with_the_way_out(images: ImageStore) -> None:
    with pytest.raises(UnsupportedConfigError, match="no root: add <filesystem type='template'>"):
        Roots(images).check(domain(""))


def imaged(path: Path, more: str = "", kind: str = "raw") -> DomainDefinition:
    return domain(
        f"<filesystem type='file'><driver format='{kind}'/><source file='{path}' {more}/><target dir='/'/></filesystem>"
    )


def test_a_file_with_a_file_system_is_a_root_that_nothing_is_made_for(images: ImageStore, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1080) + b"\x53\xef" + bytes(100))
    assert Roots(images).prepare(imaged(image), None) == ImageRoot(source=str(image))


def test_the_partition_with_the_root_is_found_and_can_be_named(images: ImageStore, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(table([(0x83, 8, 8), (0x83, 16, 8)], sectors=32, filesystems=[16]))
    roots = Roots(images)
    assert roots.prepare(imaged(image), None) == ImageRoot(source=str(image), start=16 * 512, size=8 * 512)
    named = imaged(image, "insula:partition='1' xmlns:insula='https://insula.dev/xmlns/domain/1'")
    assert roots.prepare(named, None) == ImageRoot(source=str(image), start=8 * 512, size=8 * 512)


def test_a_partition_that_is_not_there_is_named_with_those_that_are(images: ImageStore, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(table([(0x83, 8, 8)], sectors=32, filesystems=[8]))
    named = imaged(image, "insula:partition='3' xmlns:insula='https://insula.dev/xmlns/domain/1'")
    with pytest.raises(UnsupportedConfigError, match=r"image: there is no partition 3: it has 1 \(ext4, 0 MiB\)"):
        Roots(images).prepare(named, None)


def test_an_image_of_another_format_is_refused_with_what_to_do(images: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConfigError, match=r"'qcow2' by driver 'loop': .* convert it"):
        Roots(images).check(imaged(tmp_path / "image", kind="qcow2"))


def test_a_device_that_is_none_is_named(images: ImageStore) -> None:
    xml = "<filesystem type='block'><source dev='/dev/null'/><target dir='/'/></filesystem>"
    with pytest.raises(UnsupportedConfigError, match="/dev/null is no block device"):
        Roots(images).prepare(domain(xml), None)


@pytest.mark.parametrize("kind", [FilesystemType.RAM, FilesystemType.BIND, FilesystemType.VOLUME])
def test_every_other_kind_is_refused_with_what_to_use(images: ImageStore, kind: FilesystemType) -> None:
    xml = f"<filesystem type='{kind}'><source/><target dir='/'/></filesystem>"
    with pytest.raises(UnsupportedConfigError, match=f"a root of type '{kind}': "):
        Roots(images).check(domain(xml))


def test_the_drivers_are_of_different_kinds(images: ImageStore) -> None:
    kinds = [driver.type for driver in built_in(images)]
    assert len(set(kinds)) == len(kinds)
